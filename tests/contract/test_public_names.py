"""The flat public list: one set of names in the three places that must agree."""

import ast
from importlib import import_module
from pathlib import Path

import pytest

import klio_dagster

SOURCE = Path(klio_dagster.__file__).read_text(encoding="utf-8")
BRANCH = next(
    node
    for node in ast.parse(SOURCE).body
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
)
LAZY = {name: f"klio_dagster.{home}" for name, home in klio_dagster._HOME.items()}


def test_the_list_the_lazy_table_and_the_type_checkers_block_name_the_same():
    declared = {
        alias.asname: node.module
        for node in BRANCH.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name == alias.asname
    }

    assert declared == LAZY
    assert set(klio_dagster.__all__) == {*LAZY, "__version__"}


def test_the_list_is_sorted_and_names_nothing_twice():
    assert list(LAZY) == sorted(LAZY)
    assert klio_dagster.__all__ == sorted(set(klio_dagster.__all__))


@pytest.mark.parametrize("name", sorted(LAZY))
def test_each_name_is_the_one_of_its_room(name):
    assert getattr(klio_dagster, name) is getattr(import_module(LAZY[name]), name)


def test_completion_in_a_shell_offers_every_name():
    assert set(klio_dagster.__all__) <= set(dir(klio_dagster))


def test_a_misspelt_name_is_an_attribute_error_that_says_so():
    with pytest.raises(AttributeError, match="'klio_dagster' has no attribute 'KlioResorce'"):
        _ = klio_dagster.KlioResorce
