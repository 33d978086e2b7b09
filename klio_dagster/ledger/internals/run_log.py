"""A line in the log of a run that carries tables."""

from collections.abc import Mapping

import dagster as dg
from dagster._core.events import EngineEventData

from klio_dagster.ledger.events import RunIdentity


def note(
    instance: dg.DagsterInstance,
    run: RunIdentity,
    line: str,
    metadata: Mapping[str, dg.MetadataValue],
) -> None:
    """Write a line with metadata into a run's log; nothing where this Dagster cannot.

    Private because publicly only events of assets, checks and outputs carry metadata: those would
    stand in the ledger as something that was observed, and an op whose outputs are all recorded
    by hand has none. The same call in 1.13.0 and the newest.

    Args:
        instance: that has the run.
        run: whose log.
        line: what is read first.
        metadata: shown below it.
    """
    report = getattr(instance, "report_engine_event", None)
    if report is not None:
        report(
            line,
            engine_event_data=EngineEventData(dict(metadata)),
            run_id=run.run_id,
            job_name=run.job_name,
            step_key=run.step_key,
        )
