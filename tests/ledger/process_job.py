"""A job of Dagster's own whose op says, as metadata, which process executes its run."""

import dagster as dg

from klio_dagster.ledger.run_process import executing_process


@dg.asset
def told(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    process = executing_process(context)
    return dg.MaterializeResult(metadata={"pid": process.pid if process else 0})


def _job(executor: dg.ExecutorDefinition | None) -> dg.JobDefinition:
    job = dg.define_asset_job("tell", "*")
    return dg.Definitions(assets=[told], jobs=[job], executor=executor).resolve_job_def("tell")


def multiprocess() -> dg.JobDefinition:
    return _job(dg.multiprocess_executor)


def stock() -> dg.JobDefinition:
    return _job(None)


def in_process() -> dg.JobDefinition:
    return _job(dg.in_process_executor)
