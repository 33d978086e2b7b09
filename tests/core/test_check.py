"""A check that could not work is refused where it is written."""

from typing import Any

import pytest
from hypothesis import given

from klio_dagster.codecs.array import Array
from klio_dagster.codecs.table import Table
from klio_dagster.core.asset import EntityAsset
from klio_dagster.core.check import Check, CheckResult, Evaluation, evaluation_from_json, reject
from klio_dagster.core.code_version import code_versions
from klio_dagster.core.graph import Chain
from klio_dagster.errors import CheckFailedError, ConfigError
from tests.strategies import evaluations


def make(entity: object) -> object:
    return entity


def is_fine(value: object) -> bool:
    """It is fine,
    whatever it is.

    More of it.
    """
    return value is not None


def is_above(value: float, least: float, entity: object = None) -> bool:
    return value > least


def nothing() -> bool:
    return True


def of_the_entity(entity: object) -> bool:
    return True


def takes_anything(value: object, **params: object) -> bool:
    return bool(params)


def asset(*checks: Any, **fields: Any) -> EntityAsset:
    return EntityAsset("mel", make, output=fields.pop("output", Array()), checks=checks, **fields)


def test_a_check_is_named_and_described_by_its_function():
    check = Check(is_fine)

    assert (check.name, check.severity) == ("is_fine", "blocking")
    assert check.description == "It is fine, whatever it is."
    assert Check(is_fine, name="fine", description="So.").to_json()["name"] == "fine"


def test_a_function_that_takes_anything_takes_any_parameter():
    assert Check(takes_anything, params={"x": 1}).params == {"x": 1}


@pytest.mark.parametrize(
    ("write", "says"),
    [
        pytest.param(lambda: Check("is_fine"), "'is_fine' is not a function", id="text"),
        pytest.param(lambda: Check(dict), "is not a function", id="class"),
        pytest.param(lambda: Check(lambda value: True), "is a lambda", id="lambda"),
        pytest.param(lambda: Check(is_fine, name="so-so"), "'so-so' cannot be a name", id="name"),
        pytest.param(
            lambda: Check(is_fine, severity="error"), "severity is 'error'", id="severity"
        ),
        pytest.param(lambda: Check(nothing), "no parameter for the value", id="no value"),
        pytest.param(lambda: Check(of_the_entity), "no parameter for the value", id="entity only"),
        pytest.param(lambda: Check(is_above), "parameter 'least' of the function", id="missing"),
        pytest.param(
            lambda: Check(is_fine, params={"least": 1}), "has no parameter 'least'", id="too many"
        ),
        pytest.param(
            lambda: Check(is_above, params={"least": 1, "value": 2}),
            "parameter 'value' is not for params",
            id="value in params",
        ),
        pytest.param(
            lambda: Check(is_above, params={"least": {1}}), "not plain JSON", id="no JSON"
        ),
        pytest.param(lambda: asset(is_fine), "write Check(is_fine)", id="bare function"),
        pytest.param(lambda: asset("loud"), "'loud' is not a check", id="no check"),
        pytest.param(
            lambda: asset(Check(is_fine), Check(is_fine)),
            "two checks have the name 'is_fine'",
            id="twice",
        ),
        pytest.param(
            lambda: asset(Check(is_fine, name="schema"), output=Table(schema="a:B")),
            "two checks have the name 'schema'",
            id="name of the schema",
        ),
        pytest.param(
            lambda: EntityAsset("mel", make, output=Array(), checks=Check(is_fine)),
            "checks is one check",
            id="no list",
        ),
        pytest.param(
            lambda: asset(output=Table(severity="warn")), "no schema", id="severity of nothing"
        ),
    ],
)
def test_what_is_no_check_is_refused_in_one_line(write, says):
    with pytest.raises(ConfigError) as caught:
        write()

    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@given(evaluations)
def test_an_evaluation_is_read_back_as_it_was_written(evaluation: Evaluation):
    assert evaluation_from_json(evaluation.to_json()) == evaluation


def test_only_a_blocking_check_that_did_not_pass_refuses_an_output():
    passed = Evaluation(check="a", passed=True, severity="blocking")
    flagged = Evaluation(check="b", passed=False, severity="warn")
    broken = Evaluation(check="c", passed=False, severity="blocking", description="too quiet")

    reject([passed, flagged], "asset 'mel'")
    with pytest.raises(CheckFailedError) as caught:
        reject([passed, flagged, broken], "asset 'mel'")

    assert str(caught.value).startswith("asset 'mel': check 'c' failed: too quiet; ")
    assert caught.value.evaluations == [passed, flagged, broken]


def version(*checks: Check, **fields: Any) -> str:
    return code_versions(Chain([asset(*checks, **fields)]))["mel"]


def test_blocking_checks_are_part_of_the_code_version_and_warnings_are_not():
    strict = Check(is_above, params={"least": 1})
    stricter = Check(is_above, params={"least": 2})
    lenient = Check(is_above, params={"least": 1}, severity="warn")

    assert version(lenient) == version()
    assert len({version(), version(strict), version(stricter)}) == 3
    assert version(strict, code_version="3") != version(stricter, code_version="3")
    assert version(Check(is_fine), strict) == version(strict, Check(is_fine))


def test_a_schema_is_part_of_the_code_version_by_what_it_says(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    says = {
        "one": "class S:\n    'Levels.'\n    peak: float = Field(ge=0)\n",
        "two": "class S:\n    # the same\n    peak: float = Field(ge=0)\n",
        "three": "class S:\n    peak: float = Field(ge=1)\n",
    }
    for module, text in says.items():
        (tmp_path / f"schema_{module}.py").write_text(f"import nothing_like_it\n\n{text}")

    versions = {module: Table(schema=f"schema_{module}:S").promises[0].version for module in says}

    assert versions["one"] == versions["two"] != versions["three"]
    assert Table(schema="no_such:S").promises[0].version == "no_such:S"
    assert Table(schema="schema_one:T").promises[0].version == "schema_one:T"


def test_a_result_says_what_was_found_and_nothing_by_default():
    assert CheckResult(True) == CheckResult(True, {}, "")
