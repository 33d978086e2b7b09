"""What is out of order stops nothing else, and is not lost."""

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import count

import pytest

from klio_dagster.core.job import JobId
from klio_dagster.core.letter import Asked, Letter
from klio_dagster.errors import PubSubError, StoreFullError, StoreUnavailableError
from klio_dagster.message import Dropped, Limited, Message, encode, new_message
from klio_dagster.pubsub.pull import Received, Subscription
from klio_dagster.store.dead_letter import DeadLetter, put
from klio_dagster.store.kept import held_entities, hold
from klio_dagster.store.layout import summary_path
from klio_dagster.store.store import Store
from klio_dagster.streaming.dead_letter import replay
from tests.flows.catalogue import Catalogue, all_of
from tests.services.pubsub import PubSubEmulator
from tests.streaming.team import Team

pytestmark = pytest.mark.emulator

TEN_MB = 9_999_950


def dead_letter(team: Team, entity: str, **said: bytes) -> DeadLetter:
    letter = Letter(**{"data": encode(new_message(entity)), "message_id": entity, **said})
    return DeadLetter(
        group="work", sensor=team.sensor.name, entity=entity, reason="failed", error="x", at=1.0,
        letter=letter,
    )  # fmt: skip


def test_what_was_sent_back_stays_where_it_is_when_the_inbox_cannot_be_written(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    team.put("a")
    put(team.catalogue.store, dead_letter(team, "a"))
    replay(team.catalogue.store, [dead_letter(team, "a").id])
    put_of_store = Store.put

    def full(store: Store, path: str, data: bytes) -> None:
        if "/inbox/" in path:
            raise StoreFullError("no room", path, "make some")
        put_of_store(store, path, data)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "put", full)
        with pytest.raises(StoreFullError):
            team.tick()

    (run,) = team.follow()

    assert run.counts("materialized") == all_of(1)


def test_many_that_are_sent_back_come_in_batches_of_the_usual_size(
    catalogue: Catalogue, pubsub_emulator: PubSubEmulator
) -> None:
    team = Team(catalogue, pubsub_emulator, options={"max_messages": 2, "max_inbox_batches": 3})
    letters = [dead_letter(team, f"e{number}") for number in range(9)]
    for each in letters:
        put(catalogue.store, each)
    replay(catalogue.store, [each.id for each in letters])

    requests = team.tick()

    assert len(requests) == 3
    assert len(team.inbox()) == 6


def test_a_message_that_is_sent_back_says_all_that_was_merged_into_it(team: Team) -> None:
    team.put("a")
    others = JobId("their-project", "theirs")
    both = new_message("a", to=Limited((team.job, others)))
    only_ours = encode(new_message("a", to=Limited((team.job,))))
    kept = dead_letter(team, "a", data=only_ours, forward=encode(both))
    put(team.catalogue.store, kept)
    replay(team.catalogue.store, [kept.id])

    team.follow()

    (told,) = team.told()
    assert told.recipients == Limited((team.job, others))


def test_a_run_that_can_tell_nobody_says_what_it_computed(team: Team) -> None:
    assert team.topic is not None
    team.put("a")
    team.emulator.delete_topic(team.topic)
    team.catalogue.register("a")

    run = team.run_with(entities=["a"])

    summary = json.loads(team.catalogue.store.get(summary_path(run.run_id)))
    assert (run.success, run.counts("materialized")) == (False, all_of(1))
    assert "does not exist" in run.error
    assert "does not exist" in summary["unpublished"]
    assert summary["assets"]["report"]["materialized"] == 1
    team.emulator.new_topic(team.topic.rpartition("/")[2])
    team.listen_downstream()
    team.tick()
    assert [m.entity_id for m in team.told()] == ["a"]


def test_one_message_that_the_topic_refuses_is_a_dead_letter_and_the_others_go_on(
    team: Team,
) -> None:
    team.put("large", "b")
    data = encode(Message(entity_id="large", payload=b"x" * TEN_MB))
    team.send(data, encode(new_message("b")))

    team.follow()

    assert team.inbox() == []
    assert [m.entity_id for m in team.told()] == ["b"]
    (dead,) = team.dead()
    assert (dead.reason, dead.entity) == ("refused", "large")


def broken() -> Message:
    raise KeyError("no such column")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        pytest.param(broken, "raised KeyError", id="it raises"),
        pytest.param(lambda: None, "returned None", id="it returns nothing"),
        pytest.param(lambda: "a", "returned 'a'", id="it returns an id"),
    ],
)
def test_a_decoder_that_breaks_costs_one_message(
    answer: Callable[[], Message], said: str, catalogue: Catalogue, pubsub_emulator: PubSubEmulator
) -> None:
    def careless(data: bytes, _attributes: Mapping[str, str], _job: JobId) -> Message | Dropped:
        return new_message("a") if data == b"1" else answer()

    team = Team(catalogue, pubsub_emulator, options={"decoder": careless})
    team.put("a")
    team.send(b"2", b"1")

    (run,) = team.follow()

    assert run.counts("materialized") == all_of(1)
    (dead,) = team.dead()
    assert (dead.reason, dead.letter.data) == ("undecodable", b"2")
    assert f"the decoder {said}" in dead.error


def test_a_message_that_a_decoder_cannot_read_now_comes_again(
    catalogue: Catalogue, pubsub_emulator: PubSubEmulator
) -> None:
    answers: list[bool] = []

    def asking(data: bytes, _attributes: Mapping[str, str], _job: JobId) -> Message | Dropped:
        if not answers:
            raise StoreUnavailableError("it does not answer", "the decoder's table", "wait")
        return new_message(data.decode())

    team = Team(catalogue, pubsub_emulator, options={"decoder": asking})
    team.put("a")
    team.send(b"a")

    with pytest.raises(StoreUnavailableError, match="does not answer"):
        team.tick()
    answers.append(True)
    (run,) = team.follow()

    assert run.counts("materialized") == all_of(1)
    assert team.dead() == []


def test_what_was_pulled_before_the_server_went_is_taken_in_once(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    team.put("a")
    team.ask("a", force=True)
    pull, pulls = Subscription.pull, count()

    def once(subscription: Subscription, *arguments: int) -> Sequence[Received]:
        if next(pulls):
            raise PubSubError("it does not answer", "the server", "wait", transient=True)
        return pull(subscription, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Subscription, "pull", once)
        (request,) = team.tick()

    assert team.inbox() == ["a"]
    assert team.left_in_topic() == []
    assert team.run(request).counts("materialized") == all_of(1)


def test_a_spoilt_batch_stops_no_other(team: Team) -> None:
    team.put("a")
    team.catalogue.store.put(f"_klio/inbox/{team.sensor.name}/00000000000001-x.jsonl", b"spoilt\n")
    team.ask("a")

    (run,) = team.follow()

    assert run.counts("materialized") == all_of(1)


def test_what_is_held_of_an_entity_that_is_whole_by_now_is_passed_on(team: Team) -> None:
    team.put("a")
    team.put("bad", text=b"bad")
    team.ask("a", "bad")
    team.follow()
    team.told()
    store, group = team.catalogue.store, team.name
    message = encode(new_message("a", force=True))
    letter = Letter(data=message, message_id="1", forward=message)
    # Of a run in which it failed, and which ended after one in which it did not.
    hold(store, group, team.sensor.name, Asked(entity="a", letters=(letter,), force=True))
    team.deploy()  # it looks now and then, and for the first time at once

    ran = team.follow()

    assert ran == [], "nothing is computed again"
    assert [m.entity_id for m in team.told()] == ["a"]
    assert list(held_entities(store, group)) == ["bad"]
