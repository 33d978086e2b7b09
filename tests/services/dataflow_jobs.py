"""Tiny pipelines for the Dataflow double, and a way to submit one from another process.

    python -m tests.services.dataflow_jobs PIPELINE OPTIONS ARGUMENTS

prints the id of the new job and ends; PIPELINE is the name of a function here, the rest is JSON.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.io import WriteToText
from apache_beam.metrics.metric import Metrics
from apache_beam.options.pipeline_options import PipelineOptions


class Count(beam.DoFn):
    """Counts what it sees, by the name that the SDK worker's environment gives."""

    def setup(self) -> None:
        self._seen = Metrics.counter("tests", os.environ.get("KLIO_TESTS_COUNTER", "seen"))
        self._sizes = Metrics.distribution("tests", "sizes")

    def process(self, element: int):
        self._seen.inc()
        self._sizes.update(element)
        yield element


class Sleep(beam.DoFn):
    """Starts a process in a group of its own, says that it has begun, by a file, and sleeps."""

    def __init__(self, begun: str) -> None:
        self._begun = begun

    def process(self, element: int):
        subprocess.Popen(["sleep", "600"], start_new_session=True)
        Path(self._begun).write_text("begun")
        time.sleep(600)
        yield element


def _fail(element: int) -> int:
    raise ValueError(f"element {element} is of no use")


def counted(pipeline: beam.Pipeline, path: str) -> None:
    """Three elements, counted and written to a bucket through Beam's own GcsIO."""
    seen = pipeline | beam.Create([1, 2, 3]) | "count" >> beam.ParDo(Count())
    _ = seen | beam.Map(str) | WriteToText(path, num_shards=1)


def failing(pipeline: beam.Pipeline) -> None:
    """One element that cannot be processed."""
    _ = pipeline | beam.Create([1]) | "fail" >> beam.Map(_fail)


def sleeping(pipeline: beam.Pipeline, begun: str) -> None:
    """One element that takes ten minutes."""
    _ = pipeline | beam.Create([1]) | "sleep" >> beam.ParDo(Sleep(begun))


def submit(name: str, options: Mapping[str, Any], **arguments: Any) -> Any:
    """Beam's result of a pipeline of this module that was submitted."""
    pipeline = beam.Pipeline(options=PipelineOptions.from_dictionary(dict(options)))
    globals()[name](pipeline, **arguments)
    return pipeline.run()


if __name__ == "__main__":
    made = submit(sys.argv[1], json.loads(sys.argv[2]), **json.loads(sys.argv[3]))
    print(made.job_id())
