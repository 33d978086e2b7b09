"""A definition that does not fit together is refused where it is written, with one line."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from klio_dagster.codecs.json import Json
from klio_dagster.core.asset import EntityAsset, EntityStep
from klio_dagster.errors import ConfigError


def mel(entity: object, recording: object, n_mels: int, hop: int = 512) -> object: ...
def normalise(entity: object, source: bytes) -> object: ...
def anything(entity: object, **inputs: object) -> object: ...


def of_anything(entity, source): ...


class Classify:
    def __init__(self, weights: str, device: str = "cpu") -> None: ...

    def __call__(self, entity: object, mel: object, threshold: float = 0.5) -> object: ...


class Confused:
    def __init__(self, threshold: float) -> None: ...

    def __call__(self, entity: object, threshold: float) -> object: ...


class NotCallable:
    def setup(self) -> None: ...


def of_mel(**fields: Any) -> Callable[[], EntityAsset]:
    given = {"deps": ["recording"], "params": {"n_mels": 128}, "output": Json(), **fields}
    return lambda: EntityAsset("mel", mel, **given)


def of(transform: Any, name: str = "mel", **fields: Any) -> Callable[[], EntityAsset]:
    return lambda: EntityAsset(name, transform, **{"output": Json(), **fields})


def test_an_asset_takes_its_inputs_and_params_by_name():
    asset = of_mel(params={"n_mels": 128, "hop": 256})()

    assert [dep.parameter for dep in asset.dependencies] == ["recording"]
    assert asset.where == "asset 'mel'"
    assert EntityStep("louder", normalise, source="tracks/{entity}.wav").where == "step 'louder'"


@pytest.mark.parametrize(
    ("define", "line"),
    [
        pytest.param(
            of_mel(params={}),
            "parameter 'n_mels' of the transform has no input; name it in deps or .* params",
            id="a parameter without input",
        ),
        pytest.param(
            of_mel(deps=[]),
            "parameter 'recording' of the transform has no input; .*",
            id="a dependency not named",
        ),
        pytest.param(
            of_mel(deps=["recordng"]),
            "parameter 'recording' of the transform has no input; deps has 'recordng':"
            r" did you mean 'recording'\?",
            id="a dependency mistyped",
        ),
        pytest.param(
            of_mel(deps=[dg.AssetKey(["team", "recordings"])]),
            "parameter 'recording' of the transform has no input; deps has 'team/recordings':"
            r" did you mean 'recording'\?",
            id="a dependency on another group mistyped",
        ),
        pytest.param(
            of_mel(params={"n_mels": 128, "bands": 1}),
            "the transform has no parameter 'bands'; it takes entity, recording, n_mels, hop",
            id="params that are no parameter",
        ),
        pytest.param(
            of_mel(params={"n_mels": 128, "recording": 1}),
            "parameter 'recording' is also an input; .*",
            id="a param with the name of an input",
        ),
        pytest.param(
            of_mel(params={"n_mels": 128, "entity": "x"}),
            "parameter 'entity' is also an input; .*",
            id="a param called entity",
        ),
        pytest.param(
            of_mel(params={"n_mels": (1, 2)}),
            "params are not plain JSON; .*",
            id="a tuple in params",
        ),
        pytest.param(
            of_mel(params={"n_mels": float("nan")}),
            "params are not plain JSON; .*",
            id="NaN in params",
        ),
        pytest.param(
            of_mel(params={"n_mels": b"1"}), "params are not plain JSON; .*", id="bytes in params"
        ),
        pytest.param(
            of_mel(deps="recording"),
            r"deps is a text; write deps=\['recording'\]",
            id="deps a text",
        ),
        pytest.param(
            of_mel(deps=["recording", dg.AssetKey(["other", "recording"])]),
            "two dependencies have the same name; .*",
            id="two dependencies of one name",
        ),
        pytest.param(
            of_mel(deps=[7]),
            "dependency 7 is neither a name nor an asset; .*",
            id="a number in deps",
        ),
        pytest.param(
            of(anything, deps=[dg.AssetKey(["raw", "source"])]),
            "dependency 'raw/source' has the name of the parameter 'source'; .*",
            id="a dependency called source",
        ),
        pytest.param(
            of(normalise),
            "the transform has a parameter 'source' but .*; give it source=.*",
            id="no source",
        ),
        pytest.param(
            of(of_anything, source="tracks/{entity}.wav"),
            "parameter 'source' of the transform has no annotation; annotate it with AudioClip.*",
            id="a source of which nobody says how it is read",
        ),
        pytest.param(
            of_mel(source="tracks/{entity}.wav"),
            "it has a source but the transform has no parameter 'source'; add `source: .*",
            id="a source nobody reads",
        ),
        pytest.param(of_mel(timeout_s=0), "timeout_s is 0; use seconds above 0", id="no time"),
        pytest.param(of_mel(timeout_s=-1.5), "timeout_s is -1.5; .*", id="negative time"),
        pytest.param(of_mel(timeout_s=float("nan")), "timeout_s is nan; .*", id="time that is NaN"),
        pytest.param(
            of_mel(retries=-1), "retries is -1; use a whole number, 0 or more", id="fewer than none"
        ),
        pytest.param(of_mel(retries=True), "retries is True; use .*", id="a truth as a number"),
        pytest.param(
            of_mel(batch_size=0), "batch_size is 0; use a whole number, 1 to 1000", id="no batch"
        ),
        pytest.param(of_mel(batch_size=1001), "batch_size is 1001; use .*", id="too many at once"),
        pytest.param(of_mel(batch_size=2.0), "batch_size is 2.0; use .*", id="half entities"),
        pytest.param(
            of_mel(batch_size=8),
            "the transform has a parameter 'entity', but gets 8 at once; call it 'entities': .*",
            id="a batch for a transform of one",
        ),
        pytest.param(
            of_mel(memory="much"),
            "memory is 'much'; write '2GiB', '500MB' or a number of bytes",
            id="no size",
        ),
        pytest.param(of_mel(memory="2 apples"), "memory is '2 apples'; .*", id="no unit of bytes"),
        pytest.param(
            of_mel(memory=-1), "memory is -1, which no worker can .*", id="less than none"
        ),
        pytest.param(
            of_mel(memory=2),
            "memory is 2, which no worker can start in; use at least '100MB', or None .*",
            id="a forgotten unit",
        ),
        pytest.param(
            of_mel(transient="ConnectionError"), "transient has 'C' in it; .*", id="a class' name"
        ),
        pytest.param(
            of_mel(transient=[KeyboardInterrupt]),
            "transient has <class 'KeyboardInterrupt'> in it; use classes of exceptions, .*",
            id="what ends the process",
        ),
        pytest.param(
            of_mel(output=None), "output is None, not an output codec; use Audio.*", id="no codec"
        ),
        pytest.param(of_mel(output="npy"), "output is 'npy', not an .*; .*", id="a codec's suffix"),
        pytest.param(
            of_mel(output=Json),
            "output is <class .*>, not an output codec; .*",
            id="a codec's class",
        ),
        pytest.param(
            of(Classify, deps=["mel"]),
            "parameter 'weights' of the constructor has no value; give it one in params",
            id="a constructor's parameter without value",
        ),
        pytest.param(
            of(Confused, params={"threshold": 0.5}),
            "parameter 'threshold' is in both __init__ and __call__; .*",
            id="a param of both constructor and call",
        ),
        pytest.param(
            of(NotCallable), "the class has no __call__; give it one", id="a class without __call__"
        ),
    ],
)
def test_a_malformed_definition_is_refused_with_one_clear_line(
    define: Callable[[], EntityAsset], line: str
):
    with pytest.raises(ConfigError, match=f"^asset 'mel': {line}$") as caught:
        define()

    assert len(str(caught.value).splitlines()) == 1


def _nested() -> Callable[..., object]:
    def inside(entity: object) -> object: ...

    return inside


@pytest.mark.parametrize(
    ("transform", "line"),
    [
        pytest.param(
            lambda entity: 1, "transform '<lambda>': it is a lambda or .*; define.*", id="a lambda"
        ),
        pytest.param(
            _nested(), "transform '_nested.<locals>.inside': .* inside a function.*", id="nested"
        ),
        pytest.param("jobs:mel", "transform 'jobs:mel': it has no name .*", id="a text"),
        pytest.param(None, "transform None: it has no name .*", id="nothing"),
    ],
)
def test_a_transform_no_worker_could_import_is_refused_with_one_line(transform: Any, line: str):
    with pytest.raises(ConfigError, match=f"^asset 'mel', {line}$") as caught:
        of(transform)()

    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("", id="empty"),
        pytest.param("1st", id="starts with a digit"),
        pytest.param("mel-128", id="hyphen"),
        pytest.param("audio/mel", id="slash"),
        pytest.param("mel\n", id="line feed"),
        pytest.param("größe", id="letters beyond ASCII"),
        pytest.param("a" * 101, id="101 letters"),
        pytest.param("entity", id="entity"),
        pytest.param("source", id="source"),
    ],
)
def test_a_name_that_cannot_name_files_and_parameters_is_refused(name: str):
    with pytest.raises(ConfigError, match="cannot be a name; use letters, digits and _"):
        of(anything, name=name)()


@pytest.mark.parametrize("name", ["m", "mel_128", "A" * 100], ids=["short", "mixed", "100 letters"])
def test_an_ordinary_name_is_taken(name: str):
    assert of(anything, name=name)().name == name


@pytest.mark.parametrize(
    ("dep", "key"),
    [
        pytest.param(dg.AssetKey(["other", "labels"]), "other/labels", id="a key"),
        pytest.param(dg.AssetSpec(["other", "labels"]), "other/labels", id="a spec"),
        pytest.param(SimpleNamespace(key=dg.AssetKey("labels")), "labels", id="a definition"),
    ],
)
def test_an_asset_outside_the_group_is_named_by_its_key(dep: object, key: str):
    (dependency,) = of(anything, deps=[dep])().dependencies

    assert (dependency.name, dependency.is_outside) == (key, True)
    assert dependency.parameter == "labels"
    assert (dependency.definition is None) == isinstance(dep, dg.AssetKey)


def test_a_class_takes_params_in_its_constructor_and_its_call():
    asset = of(Classify, deps=["mel"], params={"weights": "w", "threshold": 0.1})()

    assert asset.params == {"weights": "w", "threshold": 0.1}


def test_a_transform_with_keyword_arguments_takes_any_param_and_any_input():
    asset = of(anything, deps=["recording"], params={"whatever": [1, {"a": None}]})()

    assert asset.params == {"whatever": [1, {"a": None}]}


def test_a_dependency_the_transform_does_not_name_only_orders():
    assert of(normalise, source="tracks/{entity}.wav", deps=["recording"])().deps == ("recording",)


def test_a_condition_no_worker_could_import_is_refused_with_one_line():
    with pytest.raises(ConfigError, match="<lambda>': it is a lambda"):
        of_mel(transient=lambda error: True)()


def in_lists(entities: object, mel: object, **more: object) -> object: ...


def test_a_transform_of_a_batch_takes_entities():
    asset = of(in_lists, name="tags", deps=["mel"], batch_size=8)()

    assert asset.batch_size == 8


@pytest.mark.parametrize(
    ("memory", "count"),
    [
        pytest.param("2GiB", 2 << 30, id="GiB"),
        pytest.param("1.5 gib", 3 << 29, id="a fraction, a space, small letters"),
        pytest.param("500MB", 500_000_000, id="MB"),
        pytest.param(1 << 30, 1 << 30, id="a number"),
        pytest.param(None, None, id="none"),
    ],
)
def test_memory_is_a_size_or_a_number_of_bytes(memory: Any, count: int | None):
    assert of_mel(memory=memory)().memory_bytes == count


def test_a_definition_cannot_be_changed_afterwards():
    with pytest.raises(AttributeError):
        of_mel()().timeout_s = 1.0  # pyright: ignore[reportAttributeAccessIssue]
