"""What every test starts from: no setting of the machine it runs on reaches it."""

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

# In the order in which they import each other: pytest wants to be the first who imports one.
pytest_plugins = [
    "tests.services.gcs",
    "tests.services.s3",
    "tests.services.azure",
    "tests.services.buckets",
    "tests.services.postgres",
    "tests.services.pubsub",
    "tests.services.dataflow",
]

# Read by Dagster or by us; a developer's own values must not change a test's result. The byte code
# is ours to write: the processes that tests start would compile Dagster and Beam again each time.
for name in (
    "AWS_ACCESS_KEY_ID",
    "AWS_ENDPOINT_URL",
    "AWS_SECRET_ACCESS_KEY",
    "DAGSTER_HOME",
    "DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS",
    "DAGSTER_EVENT_BATCH_SIZE",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_CLOUD_PROJECT",
    "KLIO_STORE_OPTIONS",
    "PUBSUB_EMULATOR_HOST",
    "PUBSUB_PROJECT_ID",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONWARNINGS",
    "STORAGE_EMULATOR_HOST",
):
    os.environ.pop(name, None)
os.environ["DAGSTER_DISABLE_TELEMETRY"] = "yes"

# A shell that starts the tests in the background has them, and all they start, ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

# No deadline: two cores are shared with other tests, so a slow example says nothing.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")


# Rooms whose files take minutes.
_FIRST = ("docs", "kill", "flows", "ui", "streaming")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, each a piece of work: or one process would end long after the others."""
    rooms = {room: number for number, room in enumerate(_FIRST)}
    items.sort(key=lambda item: rooms.get(item.path.parent.name, len(rooms)))
