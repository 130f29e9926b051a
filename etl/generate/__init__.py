"""Realistic S3 server access log objects, the same on every machine: for demos, tests and benchmarks."""

from __future__ import annotations

from etl.generate._generate import LogObject, generate
from etl.generate._shares import GENERATED_SHARES, Shares
from etl.generate._write import WrittenObjects, write_objects

__all__ = ["GENERATED_SHARES", "LogObject", "Shares", "WrittenObjects", "generate", "write_objects"]
