"""Driver (`python -m klio_dagster.engine.driver <manifest>`): carries out a manifest with Beam.

The same entry for every engine. With `--launched` it belongs to the process that started it and
holds its standard input: when that closes, driver and workers of this machine end, and a job
elsewhere goes on. With `--attach` it finds the job that another driver has submitted.
"""

import argparse
import logging
import os
import signal
import sys
import threading
from importlib import import_module
from pathlib import Path
from types import FrameType

from klio_dagster.core.manifest import Manifest
from klio_dagster.engine.opened import opened_store
from klio_dagster.engine.options import LocalOptions, RemoteOptions, engine_options
from klio_dagster.engine.running import close_pools, end_now, running_pool
from klio_dagster.errors import KlioError

_FAILED = 1


def main(arguments: list[str] | None = None) -> int:
    """Carry out the manifest at a path.

    Returns:
        0 when every task has its receipts, 1 otherwise.
    """
    parser = argparse.ArgumentParser(prog="python -m klio_dagster.engine.driver")
    parser.add_argument("manifest", help="path or URL of the manifest's head, a JSON file")
    parser.add_argument(
        "--launched", action="store_true", help="end when the standard input closes"
    )
    parser.add_argument(
        "--attach", action="store_true", help="watch the job that was submitted before"
    )
    parser.add_argument("--peek", action="store_true", help="only say how that job is")
    parser.add_argument("--job", help="id of that job, where it is known")
    parser.add_argument("--started", action="store_true", help="that job was seen at work before")
    parser.add_argument("--tell", type=int, help="descriptor that takes what is said of the job")
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _end_now)
    logging.basicConfig(level=logging.WARNING)
    try:
        manifest = Manifest.from_json(_read(given.manifest))
        options = engine_options(manifest.engine)
    except KlioError as error:
        _tell_unread(given.tell, error, has_job=given.attach)
        sys.stderr.write(f"{error}\n")
        return _FAILED
    try:
        if isinstance(options, RemoteOptions):
            from klio_dagster.engine.remote.drive import How, drive
            from klio_dagster.engine.remote.told import teller

            how = How.LOOK if given.peek else How.ATTACH if given.attach else How.SUBMIT
            job = {"job_id": given.job, "has_started": given.started}
            drive(manifest, options, teller(given.tell), how=how, **job)
        else:
            if given.launched:
                threading.Thread(target=_end_with_launcher, daemon=True).start()
            carry_out(manifest, options)
    except KlioError as error:
        sys.stderr.write(f"{error}\n")
        return _FAILED
    finally:
        close_pools()
    return 0


def carry_out(manifest: Manifest, options: LocalOptions) -> None:
    """Compute every task of a manifest on this machine.

    Raises:
        ConfigError: the store cannot be written to.
        KlioError: the workers cannot go on.
        RuntimeError: Beam cannot go on.
    """
    for module in manifest.install:
        import_module(module)
    running_pool(manifest)  # the workers start while Beam is imported
    from klio_dagster.engine.beam.pipeline import build
    from klio_dagster.engine.beam.runners import local_pipeline

    pipeline = local_pipeline(options)
    build(pipeline, manifest)
    try:
        pipeline.run().wait_until_finish()  # pyright: ignore[reportUnknownMemberType] - Beam's
    except (RuntimeError, KlioError) as error:
        # Beam may wrap what a DoFn raises into a RuntimeError of its own, and keeps the cause.
        cause = error if isinstance(error, KlioError) else error.__cause__
        if not isinstance(cause, KlioError):
            raise
        # It says in the first argument which of its steps that was, which helps nobody.
        what = cause.what.partition(" [while running ")[0]
        raise type(cause)(what, cause.where, cause.fix) from None


def _tell_unread(pipe: int | None, error: KlioError, *, has_job: bool) -> None:
    """Without it the launcher would take this driver for killed, its job perhaps submitted."""
    from klio_dagster.engine.remote.told import Ending, Kind, teller

    kind = Kind.LEFT if has_job else Kind.OVER
    teller(pipe)(Ending(error.what, error.where, error.fix, kind))


def _read(head: str) -> bytes:
    """The manifest's head: a file, or an object in a bucket.

    Raises:
        ObjectNotFoundError: there is none.
        ConfigError: the store does not let us read it.
        StoreUnavailableError: it did not answer.
    """
    folder, separator, name = head.rpartition("/")
    if "://" in head and separator:
        return opened_store(folder).get(name)
    return Path(head).read_bytes()


def _end_with_launcher() -> None:
    """Wait for the end of standard input, then end as if told to."""
    while os.read(0, 4096):
        pass
    end_now()


def _end_now(_signal: int, _frame: FrameType | None) -> None:
    end_now()


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Every receipt is durable and every worker has ended: taking down what Beam has loaded would
    # only keep the run waiting, for 0.4 s.
    os._exit(code)
