"""Dagster's private parts are known in one place, so that a new Dagster breaks one place."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("klio_dagster", "asset_defs", "beam_jobs", "sensors", "tools")
THE_ONE = Path("klio_dagster/ledger/internals")


def _private(module: str) -> bool:
    parts = module.split(".")
    if parts[0] == "dagster_shared":
        return True
    return parts[0].startswith("dagster") and any(part.startswith("_") for part in parts[1:])


def _names(source: str) -> Iterator[str]:
    """Modules a file imports, and texts and attribute chains that could name one."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if " " not in node.value:
                yield node.value.partition(":")[0]
        elif isinstance(node, ast.Attribute):
            chain = ast.unparse(node)
            yield f"dagster.{chain.removeprefix('dg.')}" if chain.startswith("dg.") else chain


@pytest.mark.parametrize(
    "source",
    [
        pytest.param("from dagster._core.events import DagsterEvent", id="from"),
        pytest.param("import dagster._utils.log", id="import"),
        pytest.param("from dagster import _check", id="private-name-of-public-module"),
        pytest.param("import_module('dagster._serdes')", id="by-string"),
        pytest.param("import dagster as dg\ndg._core.events", id="attribute"),
        pytest.param("from dagster_shared.libraries import x", id="shared"),
    ],
)
def test_this_check_sees_each_way_to_reach_inside(source):
    assert any(_private(name) for name in _names(source))


def test_only_the_ledgers_internals_reach_into_dagster():
    found = {
        str(path.relative_to(ROOT)): sorted(private)
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        if THE_ONE not in path.relative_to(ROOT).parents
        and (private := {n for n in _names(path.read_text(encoding="utf-8")) if _private(n)})
    }

    assert not found, f"move it to {THE_ONE}, with its reason: {found}"
