"""What lies in the outbox is told, whatever else lies there; what was forced is forced once."""

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from klio_dagster.core.job import JobId
from klio_dagster.core.letter import Asked, Letter, TakenIn
from klio_dagster.defs import execute, passing_on, sending
from klio_dagster.defs.sending import Sending
from klio_dagster.defs.telling import Telling
from klio_dagster.errors import PublishError, PubSubError, RunError
from klio_dagster.message import decode, encode, new_message
from klio_dagster.pubsub.publish import Outgoing
from klio_dagster.store.kept import held_entities, hold, joined
from klio_dagster.store.outbox import leave, left_behind
from klio_dagster.store.store import Store
from klio_dagster.streaming import without_run
from tests.flows.catalogue import Catalogue, all_of
from tests.services.pubsub import PubSubEmulator
from tests.streaming.team import Team
from tests.streaming.test_unpublished import outbox, topic_is_back, topic_is_gone

US = JobId("p", "us")


class Line:
    """A post that takes all messages but those about some entities."""

    def __init__(self, *fails: str) -> None:
        self.fails, self.took = set(fails), list[str]()

    def publish(self, topic: str, messages: Sequence[Outgoing]) -> None:
        about = [decode(each.data, job=US).entity_id for each in messages]
        late = PubSubError("it took too long", topic, "wait", transient=True)
        self.took += [entity for entity in about if entity not in self.fails]
        failed = {at: late for at, entity in enumerate(about) if entity in self.fails}
        if failed:
            raise PublishError("some", topic, "wait", failed=failed)


def letter_of(entity: str) -> Letter:
    message = encode(new_message(entity))
    return Letter(data=message, forward=message, message_id=entity)


def left(*entities: str) -> list[TakenIn]:
    return [TakenIn(asked=Asked(entity=e, letters=(letter_of(e),))) for e in entities]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(str(tmp_path))


def deliver(store: Store, line: Line, within_s: float = 60.0) -> list[str]:
    """What a run or a tick publishes of the outbox; the warnings."""
    warned: list[str] = []
    telling = Telling(
        store=store, group="g", job=US, sending=Sending("t", lambda: line), warn=warned.append
    )
    telling.deliver_outbox(time.monotonic() + within_s)
    return warned


def test_a_message_that_never_goes_through_keeps_no_other_in_the_outbox(store: Store) -> None:
    leave(store, "g", "1", left("slow"))
    leave(store, "g", "2", left("b", "c"))
    line = Line("slow")

    deliver(store, line)

    assert sorted(line.took) == ["b", "c"]
    assert len(left_behind(store, "g")) == 1


def test_where_there_is_no_time_for_all_of_it_another_file_is_first_each_time(
    store: Store,
) -> None:
    for number in range(5):
        leave(store, "g", str(number), left(f"slow {number}" if number == 0 else str(number)))
    line = Line("slow 0")

    for _ in range(200):
        deliver(store, line, within_s=-1.0)

    assert sorted(line.took) == ["1", "2", "3", "4"]


def test_a_good_line_beside_a_spoilt_one_is_told_later(store: Store) -> None:
    leave(store, "g", "1", left("b"))
    (path,) = left_behind(store, "g")
    store.put(path, store.get(path) + b"half a li")

    deliver(store, Line("b"))
    line = Line()
    (warned,) = deliver(store, line)

    assert line.took == ["b"]
    assert "1 line in it name" in warned
    assert store.get(path) == b"half a li\n"


@pytest.mark.parametrize(
    "line",
    [
        b'{"entity":5}',
        b'{"entity":[]}',
        b'{"entity":""}',
        b'{"entity":"\\ud800"}',
        b'{"letters":[]}',
        b"5",
        b"[" * 100_000,
    ],
    ids=["number", "list", "empty", "surrogate", "none", "no object", "deep"],
)
def test_a_line_that_names_no_entity_stops_no_other(store: Store, line: bytes) -> None:
    leave(store, "g", "1", left("b"))
    (path,) = left_behind(store, "g")
    store.put(path, line + b"\n" + store.get(path))
    post = Line()

    deliver(store, post)

    assert post.took == ["b"]
    assert store.get(path) == line + b"\n"


def test_no_more_than_a_thousand_entities_are_told_in_one_go(store: Store) -> None:
    leave(store, "g", "1", left(*(str(number) for number in range(2_500))))
    line = Line()
    told: list[int] = []

    for _ in range(3):
        deliver(store, line, within_s=-1.0)
        told.append(len(line.took) - sum(told))

    assert sorted(told) == [500, 1_000, 1_000]
    assert left_behind(store, "g") == []


def test_a_redelivered_message_takes_nothing_from_what_was_merged_with_the_first() -> None:
    plain = letter_of("a")
    forced = Letter(
        data=plain.data, forward=encode(new_message("a", force=True)), message_id=plain.message_id
    )

    both = joined((forced,), (plain,))

    assert {each.forward for each in both} == {plain.forward, forced.forward}


def breaks_after_computing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next run is broken once everything is computed and recorded."""
    compute = execute.compute

    def broken(*given: object) -> None:
        compute(*given)
        raise RunError("it broke", where="the run", fix="run again")

    monkeypatch.setattr(execute, "compute", broken)


@pytest.mark.emulator
def test_a_run_that_breaks_while_nobody_can_be_told_computes_nothing_again(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    team.put("a")
    team.ask("a", force=True)
    topic_is_gone(team)
    with monkeypatch.context() as patched:
        breaks_after_computing(patched)
        (run,) = team.follow()
    assert not run.success
    topic_is_back(team)

    assert team.tick() == []

    assert [m.entity_id for m in team.told()] == ["a"]
    assert team.inbox() == []


@pytest.mark.emulator
def test_a_group_that_tells_nobody_computes_what_was_forced_once_whatever_breaks(
    catalogue: Catalogue, pubsub_emulator: PubSubEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    team = Team(catalogue, pubsub_emulator, tells=False)
    team.put("a")
    team.ask("a", force=True)
    with monkeypatch.context() as patched:
        breaks_after_computing(patched)
        (run,) = team.follow()
    assert not run.success

    assert team.tick() == []

    assert team.inbox() == []


@pytest.mark.emulator
def test_what_cannot_be_told_fills_files_and_not_memory(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passing_on, "_MOST_UNSENT", 2)
    monkeypatch.setattr(passing_on, "_AT_ONCE", 1)
    team.put("a", "b", "c")
    team.ask("a", "b", "c")
    topic_is_gone(team)

    team.follow()

    assert len(outbox(team)) == 2


@pytest.mark.emulator
def test_a_topic_that_rests_is_left_alone_by_the_next_tick_too(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    team.put("a")
    team.ask("a")
    topic_is_gone(team)
    team.follow()
    monkeypatch.setattr(sending, "_LONG_S", 0.0)
    monkeypatch.setattr(sending, "_REST", 1e6)
    with pytest.raises(PubSubError, match="does not exist"):
        team.tick()
    topic_is_back(team)

    with pytest.raises(PubSubError, match="does not exist"):
        team.tick()

    assert team.told() == []
    team.deploy()
    team.tick()
    assert [m.entity_id for m in team.told()] == ["a"]


@pytest.mark.emulator
def test_of_many_that_are_held_a_tick_tells_some_and_the_next_one_goes_on(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(without_run, "_AT_ONCE", 1)
    monkeypatch.setattr(without_run, "_BUDGET_S", -1.0)
    team.put("a", "b")
    team.ask("a", "b")
    (run,) = team.follow()
    assert run.counts("materialized") == all_of(2)
    team.told()
    store = team.catalogue.store
    for entity in ("a", "b"):
        held = Asked(entity=entity, letters=(letter_of(entity),))
        hold(store, team.name, team.sensor.name, held)
    team.deploy()  # it looks now and then, and for the first time at once

    team.tick()

    assert len(held_entities(store, team.name)) == 1
    team.tick()
    assert held_entities(store, team.name) == {}
    assert sorted(m.entity_id for m in team.told()) == ["a", "b"]
