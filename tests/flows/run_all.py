"""A run worker (`python -m tests.flows.run_all CONFIG`): one entity run, by default over all."""

import json
import sys
from uuid import uuid4

import dagster as dg

from klio_dagster.ledger.run_process import process_tags
from klio_dagster.store.processes import Process
from tests.flows.counted_defs import defs


def main() -> int:
    """Run in the instance of DAGSTER_HOME.

    Returns:
        0 if the run succeeded.
    """
    config = json.loads(sys.argv[1]) if sys.argv[1:] else {}
    run_id = str(uuid4())
    with dg.DagsterInstance.get() as instance:
        result = defs.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance,
            run_config={"ops": {"counted": {"config": {"entities": "all", **config}}}},
            run_id=run_id,
            # As `klio run` does: killed before the op says so itself, the run is known to be dead.
            tags={
                "dagster/defer_asset_events": "true",
                **process_tags(run_id, Process.this()),
            },
            raise_on_error=False,
        )
    return 0 if result.success else 1


if __name__ == "__main__":
    sys.exit(main())
