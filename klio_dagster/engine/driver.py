"""Driver (`python -m klio_dagster.engine.driver <manifest>`): carries out a manifest with Beam.

The same entry for every engine. With `--launched` it belongs to the process that started it and
holds its standard input: when that closes, driver and workers end.
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
from klio_dagster.engine.options import local_options
from klio_dagster.engine.running import close_pools, running_pool
from klio_dagster.errors import KlioError
from klio_dagster.store.heartbeat import Confirmation

_FAILED = 1
_ENDED = 143  # as a shell reports SIGTERM


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
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, _end_now)
    if options.launched:
        threading.Thread(target=_end_with_launcher, daemon=True).start()
    logging.basicConfig(level=logging.WARNING)
    try:
        carry_out(Manifest.from_json(_read(options.manifest)))
    except KlioError as error:
        sys.stderr.write(f"{error}\n")
        return _FAILED
    finally:
        close_pools()
    return 0


def carry_out(manifest: Manifest) -> None:
    """Compute every task of a manifest on its engine.

    Raises:
        ConfigError: the engine's options are wrong, or the store cannot be written to.
        KlioError: the workers cannot go on.
        RuntimeError: Beam cannot go on.
    """
    options = local_options(manifest.engine)
    for module in manifest.install:
        import_module(module)
    if manifest.generation:
        store = opened_store(manifest.store)
        confirmation = Confirmation(store, manifest.run, manifest.generation)
        # Others may take over what a stopped launcher held; then nothing of this may be written.
        confirmation.watch(on_lost=_exit)
        running_pool(manifest, confirmation.wait)
    else:
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
    _exit()


def _end_now(_signal: int, _frame: FrameType | None) -> None:
    _exit()


def _exit() -> None:
    """End at once. The workers see their pipes close and end with their children."""
    os._exit(_ENDED)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Every receipt is durable and every worker has ended: taking down what Beam has loaded would
    # only keep the run waiting, for 0.4 s.
    os._exit(code)
