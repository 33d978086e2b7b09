"""The run's side of an engine: a manifest carried out, its receipts taken as they come."""

from klio_dagster.core.manifest import Manifest
from klio_dagster.engine.driver_process import OnOutput
from klio_dagster.engine.local import carry_out_here
from klio_dagster.engine.options import RemoteOptions, engine_options
from klio_dagster.engine.receiving import OnReceipts
from klio_dagster.engine.remote.follow import Following, OnJob
from klio_dagster.engine.remote.told import Told
from klio_dagster.store.store import Store


def _nobody(_told: Told) -> None:
    """Nobody listens."""


def carry_out(
    manifest: Manifest,
    store: Store,
    *,
    on_receipts: OnReceipts,
    on_output: OnOutput,
    on_job: OnJob = _nobody,
) -> None:
    """Have a manifest carried out by its engine, and return when every task has its receipts.

    Args:
        manifest: the head, which is in the store.
        store: where the receipts come.
        on_receipts: takes new receipts, in this thread, while it goes on; often none.
        on_output: takes what driver and user code print, a line at a time, in another thread.
        on_job: takes what there is to say of a job elsewhere, in this thread.

    Raises:
        ConfigError: the engine's options are wrong.
        JobLeftError: a job elsewhere may go on, and is not watched any more.
        KlioError: as `on_receipts` raised it.
        RunError: it ended before every task had its receipts.
    """
    options = engine_options(manifest.engine)
    if isinstance(options, RemoteOptions):
        Following(
            manifest, store, options, on_receipts=on_receipts, on_output=on_output, on_job=on_job
        ).submit()
    else:
        carry_out_here(manifest, store, options, on_receipts=on_receipts, on_output=on_output)
