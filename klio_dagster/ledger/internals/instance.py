"""What Dagster keeps of an instance and has no public name for."""

from typing import Any, cast

import dagster as dg


def instance_id(instance: dg.DagsterInstance) -> str:
    """Tells an instance from every other one, wherever its storage is moved.

    Private because publicly an instance has no identity; this is the one Dagster gave its run
    storage when that was made. The same call in 1.13.0 and the newest.
    """
    storage = cast("Any", instance.run_storage)
    # The first call writes an id and returns it; two processes at once write one each. Read back,
    # both get the one that was written first.
    storage.get_run_storage_id()
    return storage.get_run_storage_id()
