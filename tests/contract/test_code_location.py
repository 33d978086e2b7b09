"""Dagster's own tools load the reference project and have nothing to say against it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from asset_defs.definitions import defs

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["dg", "check", "defs"], id="dg check defs"),
        pytest.param(
            ["dagster", "definitions", "validate", "-w", "workspace.yaml", "--log-level", "error"],
            id="dagster definitions validate",
        ),
    ],
)
def test_dagster_finds_the_definitions_and_has_no_complaint(command, tmp_path):
    (tmp_path / "dagster.yaml").touch()
    environment = {**os.environ, "DAGSTER_HOME": str(tmp_path)}

    done = subprocess.run(
        [BIN / command[0], *command[1:]],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    said = (done.stdout + done.stderr).lower()
    assert done.returncode == 0, said
    assert not [
        line
        for line in said.splitlines()
        if ("warning" in line or "error" in line)
        and "definitions_validate_command" not in line  # Dagster against its own older command
    ]


def test_every_asset_of_the_reference_project_says_what_it_is_and_whose():
    specs = {spec.key.to_user_string(): spec for spec in defs.resolve_all_asset_specs()}

    assert set(specs) == {"source/tracks_flac", "recording", "mel", "features"}
    for key, spec in specs.items():
        assert spec.group_name == "tracks", key
        assert spec.description, key
        assert spec.kinds, key
        assert key.startswith("source/") or list(spec.owners) == ["team:audio"], key
