"""Processes forked from one that has imported everything, so that each costs milliseconds and can be killed at any instant.

Importing this module is a part of making it warm.
"""

from __future__ import annotations

import faulthandler
import gc
import multiprocessing
import os
import signal
from collections.abc import Mapping
from multiprocessing.context import ForkServerContext
from typing import Final

import boto3
import botocore.session
from botocore import UNSIGNED
from botocore.config import Config

_WARM: Final = (
    *(__name__, "benchmarks.rivals.compactors", "benchmarks.rivals.readers"),
    *("pyarrow.dataset", "pyarrow.fs", "pytest"),
)
"""What the fork server imports; the last for children of a test run, which import the program that their parent is."""

ASKED: Final = signal.SIGUSR1
"""Asks a process where it is; the answer goes to standard error."""


def _warm_session() -> botocore.session.Session:
    """A session that has read S3's description, which takes longer than all else in making a client."""
    session = botocore.session.Session()
    session.create_client("s3", region_name="us-east-1", config=Config(signature_version=UNSIGNED))
    return session


_LOADER: Final = _warm_session().get_component("data_loader")


def fork_context() -> ForkServerContext:
    """What starts the processes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(_WARM))
    return context


def aws_environment() -> dict[str, str]:
    """Where S3 is, for `enter`: the fork server keeps the environment that it was started in."""
    return {name: value for name, value in os.environ.items() if name.startswith("AWS_")}


def enter(environment: Mapping[str, str]) -> None:
    """Be a process of that environment, as if started anew."""
    faulthandler.register(ASKED)
    gc.freeze()  # what was imported before the fork is nobody's garbage, and looking through it would copy it
    for name in aws_environment():
        del os.environ[name]
    os.environ.update(environment)
    session = botocore.session.Session()
    session.register_component("data_loader", _LOADER)
    boto3.setup_default_session(botocore_session=session)
