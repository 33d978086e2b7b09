"""The files of `deploy/`, loaded by Dagster itself against a real database and a bucket."""

import os
import re
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster_gcp.gcs.compute_log_manager import GCSComputeLogManager

from tests.cli.conftest import Project
from tests.docs.page import blocks
from tests.services.gcs import BUCKET

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
PAGE = ROOT / "docs" / "how-to" / "deploy.md"
SETTINGS = (DEPLOY / "dagster.yaml").read_text(encoding="utf-8")


@pytest.fixture
def production(tmp_path, postgres_server, gcs, monkeypatch):
    """A home with those settings, and the environment that they name."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "dagster.yaml").write_text(SETTINGS)
    environment = {
        "DAGSTER_HOME": str(home),
        "DAGSTER_POSTGRES_URL": postgres_server.new_database(),
        "KLIO_LOGS_BUCKET": BUCKET,
        "STORAGE_EMULATOR_HOST": gcs.url,
        "GOOGLE_CLOUD_PROJECT": "tests",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return home


@pytest.mark.postgres
def test_dagster_takes_every_setting(production):
    with dg.DagsterInstance.from_config(str(production)) as instance:
        assert type(instance.event_log_storage).__name__ == "KlioPostgresEventLogStorage"
        assert type(instance.run_coordinator).__name__ == "KlioRunCoordinator"
        assert isinstance(instance.compute_log_manager, GCSComputeLogManager)
        assert instance.run_monitoring_enabled
        assert not instance.telemetry_enabled


@pytest.mark.postgres
def test_what_a_run_prints_lands_in_the_bucket(tmp_path, production, gcs):
    project = Project(tmp_path / "project")
    project.clip("one")
    assert project.klio("entities", "sync").code == 0

    done = project.klio("run", "--json")

    assert done.code == 0, done.err
    run = done.json["run_id"]
    names = gcs.names(f"dagster-logs/storage/{run}/compute_logs/")
    logs = b"".join(bytes(gcs.buckets.objects(BUCKET)[name].data) for name in names)
    assert names
    assert b"printed by user code" in logs


def test_the_commands_of_the_page_have_the_options_that_it_gives_them():
    (commands,) = [block.text for block in blocks(PAGE) if block.language == "text"]

    for line in commands.splitlines():
        program, *arguments = line.split()
        command = [Path(sys.executable).with_name(program), *arguments, "--help"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}: {done.stderr}"


def test_every_variable_of_the_settings_is_on_the_page():
    asked = set(re.findall(r"env: (\w+)", SETTINGS))

    said = PAGE.read_text(encoding="utf-8")

    assert asked
    assert [name for name in asked if f"| `{name}` |" not in said] == []


def test_every_secret_and_place_comes_from_the_environment():
    def values(node):
        children = node.values() if isinstance(node, dict) else node
        return [
            found
            for each in children
            for found in (values(each) if isinstance(each, dict | list) else [each])
        ]

    told = yaml.safe_load(SETTINGS)

    assert told["storage"]["custom"]["config"]["postgres_url"] == {"env": "DAGSTER_POSTGRES_URL"}
    assert told["compute_logs"]["config"]["bucket"] == {"env": "KLIO_LOGS_BUCKET"}
    assert [each for each in values(told) if "://" in str(each)] == []
    assert told["telemetry"] == {"enabled": False}


def test_dagster_loads_the_workspace_from_any_folder(tmp_path):
    command = [sys.executable, "-m", "dagster", "definitions", "validate"]
    command += ["-w", str(DEPLOY / "workspace.yaml"), "--log-level", "error"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
