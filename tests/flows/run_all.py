"""A run worker (`python -m tests.flows.run_all CONFIG`): one entity run, by default over all."""

import json
import sys

import dagster as dg

from tests.flows.counted_defs import defs


def main() -> int:
    """Run in the instance of DAGSTER_HOME.

    Returns:
        0 if the run succeeded.
    """
    config = json.loads(sys.argv[1]) if sys.argv[1:] else {}
    with dg.DagsterInstance.get() as instance:
        result = defs.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance,
            run_config={"ops": {"counted": {"config": {"entities": "all", **config}}}},
            tags={"dagster/defer_asset_events": "true"},
            raise_on_error=False,
        )
    return 0 if result.success else 1


if __name__ == "__main__":
    sys.exit(main())
