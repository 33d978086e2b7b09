"""What each process loads: asked in a fresh interpreter, which alone sees third-party chains."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

DAGSTER = {"dagster", "dagster_gcp", "dagster_shared"}
BEAM = {"apache_beam", "google.api_core", "grpc"}
SOUND = {"librosa", "numba", "scipy", "soundfile", "soxr", "sklearn"}
FIGURES = {"matplotlib"}
TABLES = {"pandas", "pandera", "pyarrow"}
WARNINGS_ARE_ERRORS = ["-W", "error"]

DIETS = [
    pytest.param(
        "klio_dagster",
        DAGSTER
        | BEAM
        | SOUND
        | FIGURES
        | TABLES
        | {"numpy", "obstore", "pydantic", "click", "rich"},
        id="the package itself",
    ),
    pytest.param(
        "klio_dagster.core.plan", {"numpy", "pydantic", "obstore"} | DAGSTER, id="the core"
    ),
    pytest.param(
        "klio_dagster.message",
        {"numpy", "pydantic", "obstore", "google.cloud", "google.api_core", "grpc"} | DAGSTER,
        id="messages",
    ),
    pytest.param(
        "klio_dagster.engine.worker", DAGSTER | BEAM | SOUND | FIGURES | TABLES, id="worker"
    ),
    pytest.param("klio_dagster.engine.launch", DAGSTER | BEAM | SOUND | FIGURES, id="launcher"),
    pytest.param("klio_dagster.engine.driver", DAGSTER | SOUND | FIGURES, id="driver"),
    pytest.param("klio_dagster.testing", DAGSTER | BEAM, id="a user's tests"),
    pytest.param("beam_jobs.audio", DAGSTER | BEAM | SOUND | FIGURES, id="transforms"),
    pytest.param(
        "asset_defs.definitions", {"apache_beam"} | SOUND | FIGURES, id="the code location"
    ),
    pytest.param("klio_dagster.cli.main", {"dagster", "apache_beam"} | SOUND | FIGURES, id="klio"),
]


def modules_after_import(module: str, *options: str) -> set[str]:
    """What one import adds to `sys.modules` of a fresh process (`.pth` files came before it)."""
    asked = (
        f"import sys; before = {{*sys.modules}}; import {module}; print(*{{*sys.modules}} - before)"
    )
    done = subprocess.run(
        [sys.executable, *options, "-c", asked],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr, "an import that prints"
    return set(done.stdout.split())


@pytest.mark.parametrize(("module", "forbidden"), DIETS)
def test_importing_it_loads_nothing_heavy_that_it_does_not_need(module, forbidden):
    loaded = modules_after_import(module)

    assert module in loaded
    assert loaded & forbidden == set()


def test_the_code_location_loads_without_a_single_warning():
    loaded = modules_after_import("asset_defs.definitions", *WARNINGS_ARE_ERRORS)

    assert "dagster" in loaded
