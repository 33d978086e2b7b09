"""A project whose runs and events Dagster keeps in PostgreSQL."""

import time
from pathlib import Path

import dagster as dg
import pytest
import yaml

from tests.cli.conftest import Project
from tests.docs.page import ROOT, blocks
from tests.ledger.storages import settings

CLIPS = 40
PATIENT_JOBS = """
import time

def size(entity, source: bytes):
    time.sleep(0.2)
    return {"bytes": len(source)}

def double(entity, size):
    return {"bytes": 2 * size["bytes"]}

def label(entity, double):
    return {"label": str(double["bytes"])}
"""

pytestmark = pytest.mark.postgres


@pytest.fixture
def url(postgres_server):
    yield postgres_server.new_database()
    postgres_server.start()


@pytest.fixture(params=["postgres", "klio-postgres"])
def project(request, tmp_path: Path, url):
    made = Project(tmp_path / "project")
    made.home.mkdir()
    (made.home / "dagster.yaml").write_text(yaml.safe_dump(settings(request.param, url)))
    made.write("clip_jobs.py", PATIENT_JOBS)
    for number in range(CLIPS):
        made.clip(f"clip-{number:02}")
    assert made.klio("entities", "sync").code == 0
    yield made
    made.end()


def test_a_server_restarted_in_mid_run_costs_a_pause_and_nothing_is_recorded_twice(
    project, postgres_server, url
):
    recorded = "select count(*) from event_logs where dagster_event_type = 'ASSET_MATERIALIZATION'"
    running = project.start("run", "--json")
    deadline = time.monotonic() + 60
    while postgres_server.ask(recorded, url) == [(0,)]:
        assert time.monotonic() < deadline
        assert running.poll() is None, running.communicate()
        time.sleep(0.05)
    postgres_server.stop()
    time.sleep(2)
    postgres_server.start()
    _, errors = running.communicate(timeout=120)
    between = postgres_server.ask(recorded, url)
    again = project.klio("run")

    each = "select asset_key, partition, count(*) from event_logs" + recorded.partition("logs")[2]
    counts = postgres_server.ask(f"{each} group by asset_key, partition", url)
    assert running.returncode == 0, errors
    assert 0 < between[0][0] == 2 * CLIPS
    assert again.code == 0
    assert [row for row in counts if row[2] != 1] == []
    assert len(counts) == 2 * CLIPS
    with project.instance() as instance:
        assert [run.status for run in instance.get_runs()] == [dg.DagsterRunStatus.SUCCESS] * 2


def test_a_server_that_is_away_is_one_line(project, postgres_server):
    postgres_server.stop()

    done = project.klio("status")

    assert done.code == 2
    assert done.err.splitlines()[-1].startswith("DAGSTER_HOME")
    assert "server" in done.err.splitlines()[-1]
    assert "Traceback" not in done.err


def test_the_settings_of_the_page_are_those_of_our_storage(tmp_path, url, monkeypatch):
    (shown,) = blocks(ROOT / "docs" / "how-to" / "use-postgresql.md")
    (tmp_path / "dagster.yaml").write_text(shown.text)
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", url)

    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        used = type(instance.event_log_storage)

    assert used.__name__ == "KlioPostgresEventLogStorage"
