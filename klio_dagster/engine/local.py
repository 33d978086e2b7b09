"""The run's side of a driver on this machine: start it, follow its receipts, end it."""

from collections.abc import Mapping
from pathlib import Path

from klio_dagster.core.manifest import Manifest
from klio_dagster.engine.driver_process import DriverProcess, OnOutput, environment_of
from klio_dagster.engine.options import LocalOptions
from klio_dagster.engine.receiving import OnReceipts, so_far
from klio_dagster.engine.spare import leave_behind, take
from klio_dagster.errors import KlioError, RunError
from klio_dagster.store.layout import manifest_head
from klio_dagster.store.receipts import ReceiptTail
from klio_dagster.store.store import Store


def carry_out_here(
    manifest: Manifest,
    store: Store,
    options: LocalOptions,
    *,
    on_receipts: OnReceipts,
    on_output: OnOutput,
) -> None:
    """Start a driver on a manifest and follow it to its end.

    Whatever ends this call early (an exception, an interrupt) ends driver and workers too.

    Args:
        manifest: the head, which is in the store.
        store: where the receipts come.
        options: of the engine.
        on_receipts: takes new receipts, in this thread, while the driver goes on; often none.
        on_output: takes what driver and user code print, a line at a time, in another thread.

    Raises:
        KlioError: as `on_receipts` raised it.
        RunError: the driver ended before every task had its receipts.
    """
    tail = ReceiptTail(store, manifest.run)
    environment = environment_of(store.access)
    driver = _start(store.uri(manifest_head(manifest.run)), options, environment, on_output)
    try:
        is_running = True
        while is_running:
            is_running = not driver.has_ended()
            on_receipts([])  # so that what is held is recorded and progress is said by the clock
            for receipts in so_far(tail):
                on_receipts(receipts)
    except KlioError:  # who takes receipts can take no more of them
        tail = None
        raise
    finally:
        driver.end()
        for receipts in tail.new() if tail else ():
            on_receipts(receipts)
    if driver.code:
        raise RunError(
            f"the driver ended with code {driver.code}: {driver.last_line}",
            where=f"run {manifest.run}",
            fix="what is done stays done: mend the cause and run again",
        )
    if options.spares is not None:
        leave_behind(Path(options.spares), options.workers, environment)


def _start(
    head: str, options: LocalOptions, environment: Mapping[str, str], on_output: OnOutput
) -> DriverProcess:
    if options.spares is not None:
        taken = take(Path(options.spares), head, options.workers, environment)
        if taken is not None:
            return DriverProcess(taken, on_output)
    return DriverProcess.start([head, "--launched"], environment, on_output)
