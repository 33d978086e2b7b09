"""Runs on engines elsewhere: their assets, and a launcher in a process of its own, to be killed."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import dagster as dg

from klio_dagster.codecs.json import Json
from klio_dagster.core.asset import EntityAsset
from tests.dataflow import dataflow_jobs as jobs
from tests.flows.catalogue import group
from tests.services.waiting import wait_until


def recordings(text: Callable[..., Any] = jobs.text) -> dg.AssetsDefinition:
    """recording -> length; a source that says `bad` fails, one that says `slow` takes its time."""
    return group(
        EntityAsset("recording", text, source="tracks/{entity}.txt", output=Json()),
        EntityAsset("length", jobs.length, deps=["recording"], output=Json()),
    )


@contextmanager
def launched(
    module: str, arguments: Sequence[str], has_begun: Callable[[], object], within_s: float = 60.0
) -> "Iterator[subprocess.Popen[bytes]]":
    """A process that launches a run, once that has begun; killed after the block, come what may.

    Args:
        module: is executed.
        arguments: of it.
        has_begun: the run has done what the block is to find.
        within_s: the longest that may take.
    """
    launcher = subprocess.Popen([sys.executable, "-m", module, *arguments])
    try:
        wait_until(has_begun, within_s)
        yield launcher
    finally:
        launcher.kill()
        launcher.wait()
