"""A transform by its name, and which of its parameters are given where."""

from collections.abc import Callable
from functools import partial, wraps
from types import FunctionType
from typing import Any

import pytest

from klio_dagster.core.reference import (
    Signature,
    reference_of,
    resolve,
    signature_of,
    source_annotation,
)
from klio_dagster.errors import ConfigError
from tests import strategies
from tests.strategies import from_inputs, from_source


def positional(entity: object, /, recording: object) -> object: ...
def many(entity: object, *others: object, gain_db: float = 0.0, **inputs: object) -> object: ...
def silent(entity, source): ...


def logged(function: Callable[..., object]) -> Callable[..., object]:
    @wraps(function)
    def wrapper(*args: object, **kwargs: object) -> object:
        return function(*args, **kwargs)

    return wrapper


@logged
def decorated(entity: object, recording: object) -> object: ...


class Plain:
    def __call__(self, entity: object, source: bytes, gain_db: float = 0.0) -> object: ...


class SetUp:
    def __init__(self, weights: str, device: str = "cpu") -> None: ...

    def setup(self) -> None: ...

    def __call__(self, entity: object, mel: object, **inputs: object) -> object: ...

    def score(self, entity: object) -> object: ...


class Inherits(SetUp): ...


class Outer:
    class Inner(Plain): ...


class NotCallable: ...


class PositionalCall:
    def __call__(self, entity: object, /) -> object: ...


class PositionalInit:
    def __init__(self, weights: str, /) -> None: ...

    def __call__(self, entity: object) -> object: ...


@pytest.mark.parametrize("transform", [from_inputs, from_source], ids=["function", "another"])
def test_a_worker_imports_what_was_named(transform: FunctionType):
    reference = reference_of(transform)

    assert reference == f"tests.strategies:{transform.__name__}"
    assert resolve(reference) is transform


def test_a_class_inside_a_class_is_found_by_its_whole_name():
    assert reference_of(Outer.Inner).endswith(":Outer.Inner")
    assert resolve("collections.abc:Mapping.get") is resolve("collections.abc:Mapping").get


@pytest.mark.parametrize(
    ("reference", "problem"),
    [
        pytest.param("no_such_module:mel", "No module named 'no_such_module'", id="no such module"),
        pytest.param("tests.strategies:mell", "has no attribute 'mell'", id="no such name"),
        pytest.param("tests.strategies:texts.mel", "has no attribute 'mel'", id="no such part"),
    ],
)
def test_a_name_that_leads_nowhere_is_said_in_one_line(reference: str, problem: str):
    with pytest.raises(ConfigError, match=problem) as caught:
        resolve(reference)

    assert str(caught.value).startswith(f"transform '{reference}': it cannot be imported")
    assert len(str(caught.value).splitlines()) == 1


def test_a_function_of_the_script_that_was_started_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(strategies.from_inputs, "__module__", "__main__")

    with pytest.raises(ConfigError, match="defined in the script that was started"):
        reference_of(strategies.from_inputs)


@pytest.mark.parametrize(
    ("transform", "problem"),
    [
        pytest.param(SetUp("w").score, "method of an object", id="method of an object"),
        pytest.param(SetUp("w"), "no name a worker could import", id="an object"),
        pytest.param(partial(many, gain_db=1.0), "no name a worker could import", id="a partial"),
    ],
)
def test_what_only_this_process_has_is_refused(transform: Any, problem: str):
    with pytest.raises(ConfigError, match=problem):
        reference_of(transform)


@pytest.mark.parametrize(
    ("transform", "signature"),
    [
        pytest.param(
            many,
            Signature({"entity": False, "gain_db": True}, {}, takes_anything=True),
            id="function",
        ),
        pytest.param(
            decorated,
            Signature({"entity": False, "recording": False}, {}, takes_anything=False),
            id="decorated function: what it wraps",
        ),
        pytest.param(
            Plain,
            Signature(
                {"entity": False, "source": False, "gain_db": True}, {}, takes_anything=False
            ),
            id="class without constructor",
        ),
        pytest.param(
            SetUp,
            Signature(
                {"entity": False, "mel": False},
                {"weights": False, "device": True},
                takes_anything=True,
            ),
            id="class with constructor",
        ),
        pytest.param(Inherits, signature_of(SetUp, "x"), id="class that inherits both"),
    ],
)
def test_parameters_are_known_by_where_they_are_given(transform: Any, signature: Signature):
    assert signature_of(transform, "asset 'x'") == signature


@pytest.mark.parametrize(
    ("transform", "line"),
    [
        pytest.param(
            positional,
            "parameter 'entity' can only be given by position; .* drop the '/'",
            id="function",
        ),
        pytest.param(
            PositionalCall, "parameter 'entity' can only be given by position; .*", id="call"
        ),
        pytest.param(
            PositionalInit,
            "parameter 'weights' can only be given by position; .*",
            id="constructor",
        ),
        pytest.param(NotCallable, "the class has no __call__; give it one", id="no call"),
        pytest.param(
            dict.fromkeys, "parameter 'iterable' can only be given by position; .*", id="builtin"
        ),
        pytest.param(7, "its parameters cannot be read; wrap it .*", id="a number"),
    ],
)
def test_what_cannot_be_called_by_name_is_refused_with_one_line(transform: Any, line: str):
    with pytest.raises(ConfigError, match=f"^asset 'x': {line}$"):
        signature_of(transform, "asset 'x'")


@pytest.mark.parametrize(
    ("transform", "annotation"),
    [
        pytest.param(from_source, bytes, id="function"),
        pytest.param(Plain, bytes, id="class: of its call"),
        pytest.param(from_inputs, None, id="no source"),
        pytest.param(silent, None, id="no annotation"),
    ],
)
def test_the_annotation_of_source_says_how_it_is_read(transform: Any, annotation: object):
    assert source_annotation(transform) is annotation
