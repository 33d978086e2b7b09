"""A group in its order, and what is wrong with one said in one line."""

from collections.abc import Callable

import pytest
from hypothesis import given

from klio_dagster.codecs.json import Json
from klio_dagster.core.asset import EntityAsset, EntityStep
from klio_dagster.core.graph import Chain
from klio_dagster.errors import ConfigError
from tests.strategies import OTHER, PATTERN, SHARED, OutsideKey, chains, from_inputs, from_source


def asset(name: str, *deps: object, source: str | None = None) -> EntityAsset:
    transform = from_source if source else from_inputs
    return EntityAsset(name, transform, deps=deps, source=source, output=Json())


def step(name: str, *deps: object, source: str | None = None) -> EntityStep:
    return EntityStep(name, from_source if source else from_inputs, deps=deps, source=source)


TWICE = asset("mel")


@pytest.mark.parametrize(
    ("parts", "line"),
    [
        pytest.param(
            lambda: [asset("mel"), asset("features", "mell")],
            r"asset 'features': unknown dependency 'mell'; did you mean 'mel'\? .*",
            id="a dependency with a typing error",
        ),
        pytest.param(
            lambda: [asset("mel"), asset("features", "recording")],
            r"asset 'features': unknown dependency 'recording'; the group has mel, features .*"
            r"dg\.AssetKey\('recording'\).*",
            id="a dependency nothing is like",
        ),
        pytest.param(
            lambda: [asset("mel", "mel")],
            "asset 'mel': it depends on itself: mel -> mel; .*",
            id="an asset of itself",
        ),
        pytest.param(
            lambda: [asset("a", "c"), step("b", "a"), asset("c", "b"), asset("d", "a")],
            "asset 'a': it depends on itself: a -> c -> b -> a; .*",
            id="a cycle through a step",
        ),
        pytest.param(
            lambda: [asset("a"), asset("b", "a", "c"), asset("c", "b")],
            "asset 'b': it depends on itself: b -> c -> b; .*",
            id="a cycle that not everything is in",
        ),
        pytest.param(
            lambda: [asset("mel"), asset("mel")],
            "asset 'mel': the name is used twice; .*",
            id="two assets of one name",
        ),
        pytest.param(
            lambda: [asset("mel"), step("mel")],
            "step 'mel': the name is used twice; .*",
            id="an asset and a step of one name",
        ),
        pytest.param(
            lambda: [TWICE, TWICE],
            "asset 'mel': the name is used twice; .*",
            id="one asset given twice",
        ),
        pytest.param(
            lambda: [asset("mel"), asset("features", OutsideKey(["mel"]))],
            r"asset 'features': dependency 'mel' is given as an asset outside the group, .*;"
            r" write deps=\['mel'\], or .*",
            id="a name of the group given as a key",
        ),
        pytest.param(list, "klio_assets: there is no asset .*; .*", id="nothing"),
        pytest.param(
            lambda: [step("louder")], "klio_assets: there is no asset .*; .*", id="only a step"
        ),
    ],
)
def test_a_group_that_cannot_be_is_refused_with_one_line(
    parts: Callable[[], list[EntityStep]], line: str
):
    with pytest.raises(ConfigError, match=f"^{line}$") as caught:
        Chain(parts())

    assert len(str(caught.value).splitlines()) == 1


@given(chains())
def test_each_part_comes_after_what_it_depends_on(chain: Chain):
    for position, name in enumerate(chain.order):
        for dep in chain.part(name).dependencies:
            assert dep.is_outside or dep.name in chain.order[:position]


def test_the_order_given_is_kept_where_it_can_be():
    chain = Chain([asset("z"), asset("c", "b"), asset("a"), asset("b")])

    assert chain.order == ("z", "b", "c", "a")
    assert [each.name for each in chain.assets] == ["z", "b", "c", "a"]


STEPPED = Chain(
    [
        step("decoded", OutsideKey(SHARED.split("/")), source=PATTERN),
        step("louder", "decoded"),
        asset("recording", "louder"),
        asset("mel", "recording", "louder"),
        asset("labels", OutsideKey(OTHER.split("/"))),
    ]
)


def test_an_asset_is_made_from_what_its_steps_read():
    mel, labels = STEPPED.inputs("mel"), STEPPED.inputs("labels")

    assert (mel.assets, mel.outside, mel.sources) == (("recording",), (SHARED,), (PATTERN,))
    assert (labels.assets, labels.outside, labels.sources) == ((), (OTHER,), ())


@pytest.mark.parametrize(
    ("selected", "computed"),
    [
        pytest.param(["mel"], ("decoded", "louder", "mel"), id="its steps, not what it loads"),
        pytest.param(["labels"], ("labels",), id="no step it does not need"),
        pytest.param(
            ["labels", "recording"], ("decoded", "louder", "recording", "labels"), id="two"
        ),
        pytest.param([], (), id="nothing"),
    ],
)
def test_a_selection_computes_its_assets_and_the_steps_they_need(
    selected: list[str], computed: tuple[str, ...]
):
    assert STEPPED.computed(selected) == computed


def test_a_step_of_an_asset_that_is_loaded_is_not_computed():
    chain = Chain(
        [step("louder", source=PATTERN), asset("recording", "louder"), asset("mel", "recording")]
    )

    assert chain.steps_for("recording") == {"louder"}
    assert chain.steps_for("mel") == frozenset()
