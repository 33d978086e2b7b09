"""What a track's records, claims and sources make of it; the table is in test_plan_table.py."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import pytest

from klio_dagster.codecs.json import Json
from klio_dagster.core.asset import EntityAsset, EntityStep
from klio_dagster.core.graph import Chain
from klio_dagster.core.plan import Decision, Knowledge, Plan, plan
from klio_dagster.core.record import Record
from klio_dagster.core.request import Request, RerunOn
from tests.strategies import OTHER, PATTERN, SHARED, OutsideKey, from_inputs, from_source

# recording -> mel -> features; features reads recording too.
CHAIN = Chain(
    [
        EntityAsset("recording", from_source, source=PATTERN, output=Json()),
        EntityAsset("mel", from_inputs, deps=["recording"], output=Json()),
        EntityAsset("features", from_inputs, deps=["recording", "mel"], output=Json()),
    ]
)
KEYS = {PATTERN: "tracks", "recording": "audio/recording", "mel": "audio/mel"}
RECORDING = Record(True, False, "c1", "r1", {"tracks": "s1"}, 1.0)
MEL = Record(True, False, "c1", "m1", {"audio/recording": "r1"}, 1.0)
FEATURES = Record(True, False, "c1", "f1", {"audio/recording": "r1", "audio/mel": "m1"}, 1.0)
DONE = Knowledge(
    records={
        "recording": {"one": RECORDING, "two": RECORDING},
        "mel": {"one": MEL, "two": MEL},
        "features": {"one": FEATURES, "two": FEATURES},
    },
    code_versions={"recording": "c1", "mel": "c1", "features": "c1"},
    sources={PATTERN: {"one": "s1", "two": "s1"}},
    keys=KEYS,
)
ALL = ("recording", "mel", "features")
UP_TO_DATE = {"recording": "up_to_date", "mel": "up_to_date", "features": "up_to_date"}


def with_record(asset: str, entity: str, record: Record | None) -> Knowledge:
    """`DONE` but for one record."""
    others = {e: r for e, r in DONE.records[asset].items() if e != entity}
    changed = others if record is None else {**others, entity: record}
    return replace(DONE, records={**DONE.records, asset: changed})


def planned(knowledge: Knowledge, selected: Collection[str] = ALL, **asked: Any) -> Plan:
    request = Request(**{"entities": ["one", "two"], **asked})
    return plan(request, CHAIN, selected, knowledge)


def reasons(planned: Plan, entity: str = "one") -> dict[str, str]:
    return {asset: verdicts[entity].reason for asset, verdicts in planned.verdicts.items()}


@pytest.mark.parametrize(
    ("knowledge", "expected"),
    [
        pytest.param(
            replace(DONE, in_flight={("mel", "one")}),
            {"recording": "up_to_date", "mel": "in_flight", "features": "upstream_waits"},
            id="3 and 4: another run holds mel",
        ),
        pytest.param(
            replace(with_record("recording", "one", None), sources={PATTERN: {"two": "s1"}}),
            {"recording": "input_missing", "mel": "upstream_failed", "features": "upstream_failed"},
            id="4 and 5: no recording",
        ),
        pytest.param(
            replace(DONE, sources={PATTERN: {"two": "s1"}}),
            UP_TO_DATE,
            id="5: the recording of finished work is gone",
        ),
        pytest.param(
            with_record("recording", "one", None),
            {"recording": "missing", "mel": "upstream", "features": "upstream"},
            id="7 and 8: never computed",
        ),
        pytest.param(
            with_record("mel", "one", MEL._replace(failed=True)),
            {"recording": "up_to_date", "mel": "failed", "features": "upstream"},
            id="8: failed after it was materialised",
        ),
        pytest.param(
            with_record("mel", "one", Record(False, True, timestamp=1.0)),
            {"recording": "up_to_date", "mel": "missing", "features": "upstream"},
            id="8: failed and never materialised",
        ),
        pytest.param(
            replace(DONE, gone={("mel", "one")}),
            {"recording": "up_to_date", "mel": "output_gone", "features": "upstream"},
            id="8: the output was deleted",
        ),
        pytest.param(
            with_record("mel", "one", MEL._replace(code_version="c0")),
            {"recording": "up_to_date", "mel": "code_changed", "features": "upstream"},
            id="9: the code is another",
        ),
        pytest.param(
            replace(DONE, sources={PATTERN: {"one": "s2", "two": "s1"}}),
            {"recording": "input_changed", "mel": "upstream", "features": "upstream"},
            id="9: the recording was replaced",
        ),
        pytest.param(
            with_record("features", "one", FEATURES._replace(input_versions={"audio/mel": "m1"})),
            {"recording": "up_to_date", "mel": "up_to_date", "features": "input_changed"},
            id="9: made before it had that input",
        ),
        pytest.param(DONE, UP_TO_DATE, id="10: all is done"),
    ],
)
def test_one_track_is_planned_by_what_is_known_of_it_and_the_other_is_left_alone(
    knowledge: Knowledge, expected: Mapping[str, str]
):
    both = planned(knowledge)

    assert reasons(both) == expected
    assert reasons(both, "two") == UP_TO_DATE


def test_an_id_that_cannot_be_used_is_refused_and_the_others_are_planned():
    both = planned(DONE, entities=["a...b", "one"], force=True, pinged=frozenset({"a...b"}))

    assert set(both.pairs(Decision.REFUSE)) == {(asset, "a...b", "invalid_id") for asset in ALL}
    assert both.runs("one") == ALL


def test_a_ping_is_never_computed_even_if_it_is_forced():
    both = planned(replace(DONE, records={}, sources={}), force=True, pinged=frozenset({"one"}))

    assert reasons(both) == dict.fromkeys(ALL, "ping")
    assert reasons(both, "two")["mel"] == "upstream_failed"


def test_force_computes_all_that_is_selected():
    both = planned(DONE, ["mel"], force=True)

    assert reasons(both) == {"mel": "forced"}
    assert reasons(both, "two") == {"mel": "forced"}


def test_a_message_forces_its_own_track_only():
    both = planned(DONE, forced=frozenset({"one"}))

    assert reasons(both) == dict.fromkeys(ALL, "forced")
    assert reasons(both, "two") == UP_TO_DATE


@pytest.mark.parametrize(
    ("rerun_on", "expected"),
    [
        pytest.param({RerunOn.CODE, RerunOn.INPUT}, ("code_changed", "input_changed"), id="both"),
        pytest.param({RerunOn.CODE}, ("code_changed", "up_to_date"), id="code"),
        pytest.param({RerunOn.INPUT}, ("up_to_date", "input_changed"), id="input"),
        pytest.param(set(), ("up_to_date", "up_to_date"), id="neither"),
    ],
)
def test_only_the_changes_asked_for_make_finished_work_stale(
    rerun_on: set[RerunOn], expected: tuple[str, str]
):
    old_code = RECORDING._replace(code_version="c0")
    old_input = RECORDING._replace(input_versions={"tracks": "s0"})
    knowledge = replace(DONE, records={"recording": {"one": old_code, "two": old_input}})

    both = planned(knowledge, ["recording"], rerun_on=frozenset(rerun_on))

    assert (reasons(both)["recording"], reasons(both, "two")["recording"]) == expected


@pytest.mark.parametrize(
    ("upstream", "expected"),
    [
        pytest.param(RECORDING, "up_to_date", id="as it was when mel was made"),
        pytest.param(RECORDING._replace(data_version="r2"), "input_changed", id="another one"),
        pytest.param(RECORDING._replace(failed=True), "up_to_date", id="failed later"),
        pytest.param(RECORDING._replace(code_version="c0"), "up_to_date", id="made by old code"),
        pytest.param(None, "up_to_date", id="no longer recorded"),
    ],
)
def test_what_is_not_selected_is_loaded_as_it_lies(upstream: Record | None, expected: str):
    knowledge = with_record("recording", "one", upstream)

    assert reasons(planned(knowledge, ["mel"])) == {"mel": expected}


@pytest.mark.parametrize(
    ("knowledge", "expected"),
    [
        pytest.param(DONE, "forced", id="stored"),
        pytest.param(with_record("recording", "one", None), "input_missing", id="never made"),
        pytest.param(
            with_record("recording", "one", Record(False, True)), "input_missing", id="only failed"
        ),
        pytest.param(replace(DONE, gone={("recording", "one")}), "input_missing", id="deleted"),
        pytest.param(
            with_record("recording", "one", RECORDING._replace(data_version=None)),
            "forced",
            id="recorded without a data version",
        ),
        pytest.param(replace(DONE, sources={}), "forced", id="its own source does not matter"),
    ],
)
def test_what_is_not_selected_must_have_an_output_to_load(knowledge: Knowledge, expected: str):
    assert reasons(planned(knowledge, ["mel"], force=True)) == {"mel": expected}


def test_an_asset_reads_through_its_steps_and_a_step_has_no_verdict():
    stepped = Chain(
        [
            EntityStep("louder", from_source, source=PATTERN),
            EntityAsset("mel", from_inputs, deps=["louder"], output=Json()),
        ]
    )
    made = Record(True, False, "c1", "m1", {"tracks": "s1"}, 1.0)
    knowledge = replace(DONE, records={"mel": dict.fromkeys(("one", "two"), made)})
    knowledge = replace(knowledge, sources={PATTERN: {"one": "s1", "two": "s2"}})

    decided = plan(Request(entities=["one", "two", "three"]), stepped, {"mel"}, knowledge)

    assert decided.assets == ("mel",)
    assert [v.reason for v in decided.verdicts["mel"].values()] == [
        "up_to_date",
        "input_changed",
        "input_missing",
    ]


@pytest.mark.parametrize(
    ("genres", "expected"),
    [
        pytest.param("g1", "up_to_date", id="as it was"),
        pytest.param("g2", "input_changed", id="changed"),
        pytest.param(None, "up_to_date", id="never materialised: it is not loaded"),
    ],
)
def test_an_unpartitioned_asset_counts_by_its_version_only(genres: str | None, expected: str):
    deps = [OutsideKey(SHARED.split("/"))]
    chain = Chain([EntityAsset("labels", from_inputs, deps=deps, output=Json())])
    known = Knowledge(
        records={"labels": {"one": Record(True, False, "c1", "l1", {SHARED: "g1"}, 1.0)}},
        code_versions={"labels": "c1"},
        shared_versions={SHARED: genres},
    )

    decided = plan(Request(entities=["one", "new"]), chain, {"labels"}, known)

    assert reasons(decided) == {"labels": expected}
    assert reasons(decided, "new") == {"labels": "missing"}


@pytest.mark.parametrize(
    ("theirs", "expected"),
    [
        pytest.param(Record(True, False, data_version="o1"), "up_to_date", id="as it was"),
        pytest.param(Record(True, False, data_version="o2"), "input_changed", id="changed"),
        pytest.param(None, "up_to_date", id="gone"),
    ],
)
def test_an_entity_asset_of_another_group_counts_track_by_track(
    theirs: Record | None, expected: str
):
    deps = [OutsideKey(OTHER.split("/"))]
    chain = Chain([EntityAsset("mine", from_inputs, deps=deps, output=Json())])
    made = Record(True, False, "c1", "m1", {OTHER: "o1"}, 1.0)
    known = Knowledge(
        records={"mine": {"one": made}, OTHER: {"one": theirs} if theirs else {}},
        code_versions={"mine": "c1"},
    )

    decided = plan(Request(entities=["one", "new"]), chain, {"mine"}, known)

    assert reasons(decided) == {"mine": expected}
    assert reasons(decided, "new") == {"mine": "input_missing"}


def test_a_plan_is_counted_by_asset_decision_and_reason_with_every_decision_named():
    knowledge = replace(with_record("mel", "two", None), in_flight={("mel", "one")})

    counts = planned(knowledge, ["recording", "mel"], entities=["one", "two", "a...b"]).counts()

    assert counts == {
        "recording": {
            "run": {},
            "skip": {"up_to_date": 2},
            "wait": {},
            "fail": {},
            "refuse": {"invalid_id": 1},
        },
        "mel": {
            "run": {"missing": 1},
            "skip": {},
            "wait": {"in_flight": 1},
            "fail": {},
            "refuse": {"invalid_id": 1},
        },
    }


def test_a_plan_of_nobody_still_names_its_assets():
    nothing = planned(DONE, entities=[])

    assert nothing.counts()["mel"] == {"run": {}, "skip": {}, "wait": {}, "fail": {}, "refuse": {}}
    assert nothing.assets == ALL
