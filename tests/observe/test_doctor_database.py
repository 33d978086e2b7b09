"""Dagster's storage, its daemon and its home, as they are and as they should not be."""

import sqlite3
import time
from contextlib import closing

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    ScheduleInstigatorData,
    SensorInstigatorData,
)
from dagster._daemon.types import DaemonHeartbeat

from klio_dagster.errors import LedgerError
from klio_dagster.ledger.internals import health
from klio_dagster.observe.doctor.database import (
    look_at_daemon,
    look_at_database,
    look_at_home,
    look_at_versions,
)
from klio_dagster.observe.doctor.finding import Verdict
from tests.flows.disks import closed_to_writers
from tests.ledger.storages import KINDS, OURS, opened
from tests.observe.doctored import not_ok, of, verdicts

FINE = {"DAGSTER_EVENT_BATCH_SIZE": "1000"}


@pytest.fixture
def url(request):
    """Of a database for the kind of storage that a test asks for; None where it has files."""
    if "postgres" not in request.node.callspec.params["kind"]:
        return None
    server = request.getfixturevalue("postgres_server")
    server.start()
    return server.new_database()


@pytest.mark.parametrize("kind", KINDS)
def test_a_storage_that_works_is_fine_and_as_it_was(kind, tmp_path, url):
    with opened(kind, tmp_path, url) as instance:
        found = list(look_at_database(instance, tmp_path))
        events = instance.event_log_storage
        with events.index_connection() as connection:
            rows = connection.exec_driver_sql("SELECT count(*) FROM event_logs").scalar()

    ours = kind.startswith("klio")
    assert [what for what in not_ok(found) if what != "file system"] == (
        [] if ours else ["storage"]
    )
    assert {"speed", "write", "schema", "storage"} <= set(verdicts(found))
    assert of(found, "speed").figures["round_trip_ms"] > 0
    assert rows == 0


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_a_storage_that_is_not_ours_is_told_with_what_it_costs(kind, tmp_path, url):
    with opened(kind, tmp_path, url) as instance:
        said = of(look_at_database(instance, tmp_path), "storage")

    assert said.verdict is Verdict.WARN
    assert "start slowly" in said.said
    assert "docs/" in said.remedy


@pytest.mark.parametrize("kind", OURS)
def test_a_schema_of_before_is_told_with_the_command_that_migrates_it(kind, tmp_path, url):
    with opened(kind, tmp_path, url) as instance:
        with instance.event_log_storage.index_connection() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = '29a8e9d74220'")
        said = of(look_at_database(instance, tmp_path), "schema")

    assert said.verdict is Verdict.WARN
    assert "events" in said.said
    assert "dagster instance migrate" in said.remedy


def test_files_that_may_not_be_written_are_found(tmp_path):
    with opened("klio-sqlite", tmp_path, None) as instance:
        health.check_writable(instance)
        with (
            closed_to_writers(tmp_path),
            pytest.raises(LedgerError, match=r"readonly|unable to open"),
        ):
            health.check_writable(instance)


def test_files_that_another_process_keeps_locked_are_told_soon(tmp_path):
    with opened("klio-sqlite", tmp_path, None) as instance:
        health.check_writable(instance)
        path = instance.event_log_storage.path_for_shard("index")
        with closing(sqlite3.connect(path)) as other:
            other.execute("BEGIN IMMEDIATE")
            started = time.monotonic()
            with pytest.raises(LedgerError, match="locked for too long"):
                health.check_writable(instance)

    assert time.monotonic() - started < 15


@pytest.mark.postgres
def test_a_role_that_may_only_read_is_found(tmp_path, postgres_server):
    postgres_server.start()
    url = postgres_server.new_database()
    with opened("klio-postgres", tmp_path, url) as instance:
        health.check_writable(instance)
        database = url.rpartition("/")[2]
        postgres_server.ask(
            f"alter database {database} set default_transaction_read_only = on", url
        )
        with pytest.raises(LedgerError, match="read-only"):
            health.check_writable(instance)


def beat(instance, kind="SENSOR", age_s=10.0):
    instance.run_storage.add_daemon_heartbeat(DaemonHeartbeat(time.time() - age_s, kind, "x"))


@pytest.fixture
def instance(tmp_path):
    with opened("klio-sqlite", tmp_path, None) as instance:
        yield instance


def test_a_daemon_that_works_was_seen(instance):
    beat(instance)
    beat(instance, "SCHEDULER", age_s=20.0)

    (found,) = look_at_daemon(instance, ["messages"], ["nightly"])

    assert found.verdict is Verdict.OK
    assert found.said == "seen 20 s ago"


@pytest.mark.parametrize("ever", [True, False], ids=["no more", "never"])
def test_sensors_that_nobody_ticks_are_a_warning(instance, ever):
    if ever:
        beat(instance, age_s=3600)

    (found,) = look_at_daemon(instance, ["messages"], [])

    assert found.verdict is Verdict.WARN
    assert "it does not run, and 1 sensor switched on wait for it (messages)" in found.said
    assert "klio dev" in found.remedy


@pytest.mark.parametrize(
    ("alive", "sensors", "said"),
    [
        pytest.param(None, [], "it does not run, and 1 schedule switched", id="no daemon"),
        pytest.param(None, ["messages"], "1 sensor and 1 schedule switched on", id="both wait"),
        pytest.param("SENSOR", ["messages"], "a part of it does not run, and 1 sched", id="half"),
    ],
)
def test_schedules_that_nobody_ticks_are_a_warning(instance, alive, sensors, said):
    if alive:
        beat(instance, alive)

    (found,) = look_at_daemon(instance, sensors, ["nightly"])

    assert found.verdict is Verdict.WARN
    assert said in found.said
    assert "nightly" in found.said
    assert found.figures["schedules_on"] == 1


def test_no_daemon_is_fine_where_nothing_needs_it(instance):
    (found,) = look_at_daemon(instance, [], [])

    assert found.verdict is Verdict.OK
    assert "no sensor or schedule is on" in found.said


def nothing(_context):
    return dg.SkipReason("nothing")


def test_a_sensor_is_on_as_it_was_switched_or_as_it_is_declared(instance):
    running = dg.DefaultSensorStatus.RUNNING
    sensors = [
        dg.SensorDefinition("declared", evaluation_fn=nothing, default_status=running),
        dg.SensorDefinition("switched_off", evaluation_fn=nothing, default_status=running),
        dg.SensorDefinition("switched_on", evaluation_fn=nothing),
        dg.SensorDefinition("resting", evaluation_fn=nothing),
    ]
    for name, status in (
        ("switched_on", InstigatorStatus.RUNNING),
        ("switched_off", InstigatorStatus.STOPPED),
    ):
        instance.add_instigator_state(_state(name, status))

    assert health.switched_on(instance, sensors) == {"declared", "switched_on"}


def test_a_schedule_is_on_as_it_was_switched_whatever_a_sensor_of_its_name_is(instance):
    running = dg.DefaultScheduleStatus.RUNNING
    job = dg.define_asset_job("job")
    schedules = [
        dg.ScheduleDefinition("declared", job=job, cron_schedule="@daily", default_status=running),
        dg.ScheduleDefinition("switched_on", job=job, cron_schedule="@daily"),
        dg.ScheduleDefinition("resting", job=job, cron_schedule="@daily"),
    ]
    instance.add_instigator_state(_state("resting", InstigatorStatus.RUNNING))
    schedule = ScheduleInstigatorData("@daily")
    instance.add_instigator_state(_state("switched_on", InstigatorStatus.RUNNING, schedule))

    assert health.switched_on(instance, schedules) == {"declared", "switched_on"}


def _state(name, status, data=None):
    from dagster._core.remote_origin import (
        GrpcServerCodeLocationOrigin,
        RemoteInstigatorOrigin,
        RemoteRepositoryOrigin,
    )

    place = GrpcServerCodeLocationOrigin(host="127.0.0.1", port=1, location_name="l")
    origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(place, "r"), name)
    kind = InstigatorType.SCHEDULE if data else InstigatorType.SENSOR
    return InstigatorState(origin, kind, status, data or SensorInstigatorData())


def test_a_home_as_klio_makes_it_is_fine(tmp_path):
    (tmp_path / "dagster.yaml").touch()

    found = list(look_at_home(tmp_path, FINE))

    assert [what for what in not_ok(found) if what != "space"] == []


@pytest.mark.parametrize(
    ("environment", "verdict", "said"),
    [
        pytest.param(
            {**FINE, "DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS": "1"},
            "fail",
            "not shown failed",
            id="subsets",
        ),
        pytest.param({"DAGSTER_EVENT_BATCH_SIZE": "1"}, "warn", "is 1:", id="one by one"),
        pytest.param({}, "warn", "is not set:", id="not set"),
    ],
)
def test_variables_that_do_harm_are_told(tmp_path, environment, verdict, said):
    found = list(look_at_home(tmp_path, environment))

    assert verdicts(found)["settings"] == "warn"  # there is no dagster.yaml
    assert verdicts(found)["environment"] == verdict
    assert said in of(found, "environment").said


@pytest.mark.parametrize(
    ("versions", "verdict"),
    [
        pytest.param({"dagster": "1.13.0", "dagster-postgres": "0.29.0"}, "ok", id="oldest"),
        pytest.param({"dagster": "1.14.2", "dagster-webserver": "1.14.2"}, "ok", id="newer"),
        pytest.param({"dagster": "1.12.9"}, "fail", id="too old"),
        pytest.param({"dagster": "2.0.0"}, "fail", id="too new"),
        pytest.param({"dagster": "1.13.5", "dagster-postgres": "0.28.5"}, "warn", id="mixed"),
        pytest.param({"dagster": "1.13.5", "dagster-webserver": "1.13.4"}, "warn", id="mixed web"),
    ],
)
def test_versions_that_do_not_go_together_are_told(versions, verdict):
    assert verdicts(look_at_versions(versions)) == {"version": verdict}


def test_what_is_installed_here_goes_together():
    assert verdicts(look_at_versions()) == {"version": "ok"}
