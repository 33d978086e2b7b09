"""The run's side of a driver: start it, follow its receipts, end it."""

import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from klio_dagster.core.manifest import Manifest
from klio_dagster.core.receipt import Receipt
from klio_dagster.engine.options import LocalOptions, local_options
from klio_dagster.engine.spare import TakenDriver, leave_behind, take
from klio_dagster.errors import KlioError, RunError, StoreUnavailableError
from klio_dagster.store.access import ACCESS_VARIABLE, Access
from klio_dagster.store.layout import manifest_head
from klio_dagster.store.receipts import ReceiptTail
from klio_dagster.store.store import Store

_POLL_S = 0.1
_MOST_LINE_BYTES = 1 << 16
_KEPT_CHARACTERS = 500
_KEPT_LINES = 20  # of the driver's output, for the message when it fails
_GRACE_S = 2.0

Driver = subprocess.Popen[bytes] | TakenDriver
OnReceipts = Callable[[list[Receipt]], None]
OnOutput = Callable[[str], None]


def carry_out(
    manifest: Manifest,
    store: Store,
    *,
    on_receipts: OnReceipts,
    on_output: OnOutput,
) -> None:
    """Start a driver on a manifest and follow it to its end.

    Whatever ends this call early (an exception, an interrupt) ends driver and workers too.

    Args:
        manifest: the head, which is in the store.
        store: where the receipts come.
        on_receipts: takes new receipts, in this thread, while the driver goes on; often none.
        on_output: takes what driver and user code print, a line at a time, in another thread.

    Raises:
        KlioError: as `on_receipts` raised it.
        RunError: the driver ended before every task had its receipts.
    """
    tail = ReceiptTail(store, manifest.run)
    options = local_options(manifest.engine)
    environment = _environment(store.access)
    driver = _start(store.uri(manifest_head(manifest.run)), options, environment)
    last_lines: deque[str] = deque(maxlen=_KEPT_LINES)
    reader = threading.Thread(target=_read, args=(driver, last_lines, on_output), daemon=True)
    reader.start()
    try:
        is_running = True
        while is_running:
            is_running = not _has_ended(driver)
            on_receipts([])  # so that what is held is recorded and progress is said by the clock
            for receipts in _so_far(tail) if tail.is_due else ():
                on_receipts(receipts)
    except KlioError:  # who takes receipts can take no more of them
        tail = None
        raise
    finally:
        _end(driver)
        reader.join(_GRACE_S)
        for receipts in tail.new() if tail else ():
            on_receipts(receipts)
    if driver.returncode:
        said = next((line for line in reversed(last_lines) if line.strip()), "it said nothing")
        raise RunError(
            f"the driver ended with code {driver.returncode}: {said}",
            where=f"run {manifest.run}",
            fix="what is done stays done: mend the cause and run again",
        )
    if options.spares is not None:
        leave_behind(Path(options.spares), options.workers, environment)


def _so_far(tail: ReceiptTail) -> Iterator[list[Receipt]]:
    """New receipts while the driver goes on; a store that does not answer is asked again later."""
    with suppress(StoreUnavailableError):
        yield from tail.new()


def _start(head: str, options: LocalOptions, environment: Mapping[str, str]) -> Driver:
    if options.spares is not None:
        taken = take(Path(options.spares), head, options.workers, environment)
        if taken is not None:
            return taken
    return subprocess.Popen(
        [sys.executable, "-m", "klio_dagster.engine.driver", head, "--launched"],
        stdin=subprocess.PIPE,  # held open as long as this process lives
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        start_new_session=True,  # a terminal's Ctrl-C reaches this process, which then decides
    )


def _environment(access: Access) -> dict[str, str]:
    """The path of this process goes along: workers import what the code location imports.

    So do the stores' options, which stand in no file.
    """
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    told = {ACCESS_VARIABLE: access.to_text()} if access.by_location else {}
    return {**os.environ, "PYTHONPATH": path, **told}


def _has_ended(driver: Driver) -> bool:
    try:
        driver.wait(_POLL_S)
    except subprocess.TimeoutExpired:
        return False
    return True


def _read(driver: Driver, last_lines: "deque[str]", show: OnOutput) -> None:
    assert driver.stdout
    with driver.stdout:
        while line := driver.stdout.readline(_MOST_LINE_BYTES):
            text = line.decode(errors="replace").rstrip("\n")
            last_lines.append(text[-_KEPT_CHARACTERS:])
            with suppress(Exception):  # read on whatever becomes of it: the driver must not block
                show(text)


def _end(driver: Driver) -> None:
    """Close the pipe the driver holds on to; it ends with its workers."""
    assert driver.stdin
    driver.stdin.close()
    try:
        driver.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        driver.kill()
        driver.wait()
