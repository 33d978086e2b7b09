"""`make lint` fails on each kind of violation: planted in a copy, and the tool run on it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
COPIED = ("klio_dagster", "asset_defs", "beam_jobs", "sensors", "pyproject.toml")
WITHOUT = shutil.ignore_patterns("__pycache__")

DAGSTER_IN_CORE = '''"""Planted."""


def version() -> str:
    """Dagster's version, asked where nobody looks."""
    import dagster

    return dagster.__version__
'''

DIRECTIONS = [
    pytest.param(
        "klio_dagster/core/planted.py",
        DAGSTER_IN_CORE,
        "Workers never load Dagster",
        id="an import of dagster inside a function of the core",
    ),
    pytest.param(
        "klio_dagster/ledger/planted.py",
        "from klio_dagster.engine import options\n",
        "One way through the house",
        id="the ledger knows the engine",
    ),
    pytest.param(
        "klio_dagster/codecs/planted.py",
        "from klio_dagster.store import url\n",
        "One way through the house",
        id="a codec knows the store",
    ),
    pytest.param(
        "klio_dagster/core/planted.py",
        "import numpy\n",
        "The core is plain Python",
        id="numpy in the core",
    ),
    pytest.param(
        "klio_dagster/defs/planted.py",
        "from klio_dagster.engine import driver\n",
        "The code location never loads Beam",
        id="a definition reaches Beam through the driver",
    ),
    pytest.param(
        "klio_dagster/engine/chain.py",
        "import apache_beam\n",
        "Beam stays in its room",
        id="the chain knows Beam",
    ),
    pytest.param(
        "beam_jobs/planted.py",
        "import asset_defs\n",
        "The reference project uses the library",
        id="a transform knows the definitions",
    ),
    pytest.param(
        "klio_dagster/utils/__init__.py",
        '"""Planted."""\n',
        "One way through the house",
        id="a room nobody placed",
    ),
]

RULES = [
    pytest.param(
        "klio_dagster/defs/planted.py",
        "from dagster._core.events import DagsterEvent\n",
        "banned-api",
        id="dagster's insides outside the ledger's internals",
    ),
    pytest.param(
        "klio_dagster/audio/planted.py",
        "import librosa\n",
        "banned-module-level-imports",
        id="librosa at the top of a module",
    ),
    pytest.param(
        "klio_dagster/store/planted.py",
        "from .store import Store\n",
        "relative-imports",
        id="relative import",
    ),
    pytest.param(
        "asset_defs/planted.py",
        "from __future__ import annotations\n",
        "banned-api",
        id="annotations as text",
    ),
    pytest.param("klio_dagster/store/planted.py", "import pickle\n", "banned-api", id="pickle"),
    pytest.param(
        "klio_dagster/core/planted.py",
        "from time import time\n",
        "banned-api",
        id="a clock in the core",
    ),
    pytest.param(
        "klio_dagster/core/planted.py", "import random\n", "banned-api", id="dice in the core"
    ),
    pytest.param(
        "klio_dagster/core/planted.py",
        "from datetime import datetime\n\nNOW = datetime.now()\n",
        "banned-api",
        id="today's date in the core",
    ),
    pytest.param(
        "klio_dagster/core/planted.py",
        "from os import environ\n",
        "banned-api",
        id="the environment in the core",
    ),
    pytest.param(
        "klio_dagster/defs/planted.py",
        "try:\n    X = 1\nexcept Exception:\n    X = 2\n",
        "blind-except",
        id="a broad except",
    ),
    pytest.param("klio_dagster/defs/planted.py", "print(1)\n", "print", id="print in the library"),
    pytest.param(
        "klio_dagster/core/planted.py",
        'def f(x: int) -> int:\n    """One."""\n    raise ValueError(x)\n',
        "docstring-missing-exception",
        id="an exception the docstring does not name",
    ),
]

TESTS = [
    pytest.param(
        "klio_dagster/store/planted.py",
        "x = 1\n" * 351,
        "test_file_sizes.py",
        "klio_dagster/store/planted.py': 351",
        id="a file of 351 lines",
    ),
    pytest.param(
        "klio_dagster/defs/planted.py",
        "from dagster._core import events\n",
        "test_dagster_internals.py",
        "klio_dagster/defs/planted.py': ['dagster._core.events']",
        id="dagster's insides in another file",
    ),
    pytest.param(
        "klio_dagster/__init__.py",
        (ROOT / "klio_dagster/__init__.py").read_text().replace('"Result": "core.entity",', ""),
        "test_public_names.py",
        "Result",
        id="a public name without a home",
    ),
]


@pytest.fixture
def tree(tmp_path):
    """A copy of what lint reads."""
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=WITHOUT)
        else:
            shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def plant(tree, path, text):
    """The text as a new file, or in front of the one that is there."""
    file = tree / path
    file.parent.mkdir(exist_ok=True)
    whole = text.startswith('"""') or not file.exists()
    file.write_text(text if whole else text + file.read_text(encoding="utf-8"), encoding="utf-8")


def complaint(tree, *command):
    """What a tool printed; it must have failed."""
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(("path", "text", "contract"), DIRECTIONS)
def test_an_import_in_the_wrong_direction_is_reported_by_its_contract(tree, path, text, contract):
    plant(tree, path, text)

    said = complaint(tree, BIN / "lint-imports", "--no-cache")

    assert any(contract in line and "BROKEN" in line for line in said.splitlines())


@pytest.mark.parametrize(("path", "text", "rule"), RULES)
def test_a_banned_line_is_reported_by_its_rule(tree, path, text, rule):
    plant(tree, path, text)

    said = complaint(tree, BIN / "ruff", "check", "--no-cache", "--output-format=concise", path)

    assert any(line.startswith(f"{path}:") and f" {rule}: " in line for line in said.splitlines())


@pytest.mark.parametrize(("path", "text", "test", "says"), TESTS)
def test_a_broken_promise_of_the_repository_is_reported_by_its_test(tree, path, text, test, says):
    plant(tree, path, text)
    shutil.copytree(ROOT / "tests/contract", tree / "tests/contract", ignore=WITHOUT)

    said = complaint(
        tree, sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", f"tests/contract/{test}"
    )

    assert says in said


def test_an_untyped_function_of_the_core_is_reported_by_pyright(tree):
    planted = "klio_dagster/core/planted.py"
    plant(tree, planted, "def double(value):\n    return value * 2\n")
    settings = (tree / "pyproject.toml").read_text(encoding="utf-8")
    only_it = re.sub(r'(?m)^include = \["klio_dagster".*$', f'include = ["{planted}"]', settings)
    (tree / "pyproject.toml").write_text(only_it, encoding="utf-8")

    said = complaint(
        tree, BIN / "pyright", "--project", "pyproject.toml", "--pythonpath", sys.executable
    )

    assert "reportMissingParameterType" in said
