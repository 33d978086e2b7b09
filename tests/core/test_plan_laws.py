"""What holds of every plan, whatever the chain, the past and the request."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from klio_dagster.core.plan import INPUT_REQUESTED, Decision
from tests.strategies import PATTERN, Situation, situations


@given(situations())
def test_when_all_that_was_planned_is_done_nothing_is_left_but_what_is_forced(before: Situation):
    after = before.carried_out(before.plan())

    left = after.plan()
    assert {reason for _, _, reason in left.pairs(Decision.RUN)} <= {"forced"}
    unforced = replace(after, request=replace(after.request, force=False, forced=frozenset()))
    assert list(unforced.plan().pairs(Decision.RUN)) == []


@given(situations(), st.data())
def test_the_order_in_which_entities_are_named_changes_no_verdict(
    one: Situation, data: st.DataObject
):
    other = one.asked_for(data.draw(st.permutations(one.request.entities)))

    assert other.plan().verdicts == one.plan().verdicts


@given(situations())
def test_who_else_is_asked_for_changes_no_verdict(together: Situation):
    planned = together.plan()

    for entity in together.request.entities:
        alone = together.asked_for([entity]).plan()
        for asset in planned.assets:
            assert alone.verdicts[asset][entity] == planned.verdicts[asset][entity]


@given(situations())
def test_nothing_runs_whose_upstream_waits_or_fails(situation: Situation):
    planned = situation.plan()

    for asset, entity, _ in planned.pairs(Decision.RUN):
        for dep in situation.chain.inputs(asset).assets:
            if dep in planned.assets:
                verdict = planned.verdicts[dep][entity]
                assert verdict.decision in (Decision.RUN, Decision.SKIP)


@given(situations())
def test_what_runs_has_all_its_inputs(situation: Situation):
    planned, knowledge = situation.plan(), situation.knowledge

    for asset, entity, _ in planned.pairs(Decision.RUN):
        inputs = situation.chain.inputs(asset)
        assert all(entity in knowledge.sources[pattern] for pattern in inputs.sources)
        for dep in inputs.assets:
            if dep not in planned.runs(entity):
                assert knowledge.records[dep][entity].materialized
                assert (dep, entity) not in knowledge.gone


@given(situations())
def test_finished_work_stays_finished_when_its_recording_is_taken_away(before: Situation):
    after = replace(before, knowledge=replace(before.knowledge, sources={PATTERN: {}})).plan()

    for asset, entity, reason in before.plan().pairs(Decision.SKIP):
        assert after.verdicts[asset][entity] == (Decision.SKIP, reason)


@given(situations())
def test_only_what_is_selected_is_decided_and_each_of_it_once(situation: Situation):
    planned = situation.plan()

    assert set(planned.assets) == situation.selected
    for verdicts in planned.verdicts.values():
        assert list(verdicts) == list(situation.request.entities)


@given(situations())
def test_who_cannot_ask_upstream_fails_where_the_others_wait(asking: Situation):
    mute = replace(asking, request=replace(asking.request, may_ask_upstream=frozenset()))
    waiting, failing = asking.plan(), mute.plan()

    for asset, verdicts in waiting.verdicts.items():
        for entity, verdict in verdicts.items():
            other = failing.verdicts[asset][entity]
            if verdict.reason == INPUT_REQUESTED:
                assert other.reason == "input_missing"
                assert asset in {a.name for a in asking.chain.assets if a.upstream}
                assert entity in asking.request.may_ask_upstream
            elif verdict != other:
                assert (verdict.decision, other.decision) == (Decision.WAIT, Decision.FAIL)


@given(situations())
def test_what_is_asked_for_upstream_waits_for_no_run_of_ours(situation: Situation):
    planned = situation.plan()

    for entity, asset in planned.requested().items():
        assert planned.verdicts[asset][entity] == (Decision.WAIT, INPUT_REQUESTED)
        assert entity not in planned.waiting()
