"""What Dagster keeps of an instance and has no public name for."""

from typing import Any, cast

import dagster as dg


def instance_id(instance: dg.DagsterInstance) -> str:
    """Tells an instance from every other one, wherever its storage is moved.

    Private because publicly an instance has no identity; this is the one Dagster gave its run
    storage when that was made. The same call in 1.13.0 and the newest.
    """
    return cast("Any", instance.run_storage).get_run_storage_id()
