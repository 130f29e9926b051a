"""Benchmarks: how fast lines become typed rows, beside other ways to do it. See README.md in this folder."""
