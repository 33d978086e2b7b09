"""A pipeline that writes a file an element: `python -m` of this module is its driver.

The workers import it by name, so it must be on their `PYTHONPATH`.
"""

import argparse
import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions


class WriteFile(beam.DoFn):
    """Writes `<folder>/<element>-<pid>-<number>.json`, a new number each time it is asked to.

    Args:
        folder: where.
        sleep_s: how long each element takes.
        fail_at: the element that raises.
    """

    def __init__(self, folder: str, sleep_s: float = 0.0, fail_at: int | None = None) -> None:
        self._folder, self._sleep_s, self._fail_at = folder, sleep_s, fail_at

    def setup(self) -> None:
        logging.warning("tiny pipeline: set up in process %d", os.getpid())
        with (Path(self._folder) / f"setups-{os.getpid()}").open("a") as lines:
            lines.write(f"{time.time()}\n")

    def process(self, element: int) -> None:
        if element == self._fail_at:
            raise ValueError(f"element {element} is not to be")
        time.sleep(self._sleep_s)
        said = {
            "element": element,
            "pid": os.getpid(),
            "at": time.time(),
            "threads": os.environ.get("OMP_NUM_THREADS"),
            "told": os.environ.get("KLIO_TESTS_TOLD"),
        }
        path = Path(self._folder) / f"{element}-{os.getpid()}-{time.time_ns()}"
        path.write_text(json.dumps(said))
        path.rename(path.with_suffix(".json"))


def build(
    pipeline: beam.Pipeline,
    folder: str,
    count: int,
    sleep_s: float = 0.0,
    fail_at: int | None = None,
) -> None:
    """Create -> Reshuffle -> ParDo, as our own pipelines are."""
    _ = (
        pipeline
        | "numbers" >> beam.Create(range(count))
        | "spread" >> beam.Reshuffle()
        | "write file" >> beam.ParDo(WriteFile(folder, sleep_s, fail_at))
    )


def written(folder: Path) -> list[dict[str, Any]]:
    """What was written so far, oldest first; an element may be there more than once."""
    files = [json.loads(path.read_text()) for path in folder.glob("*.json")]
    return sorted(files, key=lambda said: said["at"])


def main(arguments: list[str]) -> int:
    """Run it and wait, or only submit it.

    Returns:
        0 when the job is done.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--sleep-s", type=float, default=0.0)
    parser.add_argument("--fail-at", type=int)
    parser.add_argument("--exit-after-submit", action="store_true")
    given, beams = parser.parse_known_args(arguments)
    began = time.monotonic()
    pipeline = beam.Pipeline(options=PipelineOptions(beams))
    build(pipeline, given.folder, given.count, given.sleep_s, given.fail_at)
    result = pipeline.run()
    submitted = {"job": vars(result)["_job_id"], "submitted_in_s": time.monotonic() - began}
    print(json.dumps(submitted), flush=True)
    if given.exit_after_submit:
        os._exit(0)
    state = result.wait_until_finish()
    print(json.dumps({"state": state, "after_s": time.monotonic() - began}), flush=True)
    return 0 if state == "DONE" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
