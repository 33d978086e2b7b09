"""Messages in, recorded entities out, messages on."""

import dagster as dg

from klio_dagster.message import ANYONE, Limited
from tests.flows.catalogue import all_of
from tests.streaming.team import Team


def test_a_message_is_computed_recorded_and_passed_on(team: Team) -> None:
    team.put("a", "b")
    team.ask("a", "b")

    (run,) = team.follow()

    assert run.counts("materialized") == all_of(2)
    assert team.catalogue.materialized("report") == {"a", "b"}
    told = team.told()
    assert [m.entity_id for m in told] == ["a", "b"]
    assert all([entry.job for entry in m.audit_log] == [team.job] for m in told)
    assert team.inbox() == []
    assert team.left_in_topic() == []


def test_what_is_up_to_date_is_passed_on_without_a_run(team: Team) -> None:
    team.put("a")
    team.ask("a")
    team.follow()
    team.told()
    team.ask("a")

    result = team.evaluate()

    assert not result.run_requests
    assert "up to date 1" in str(result.skip_reason)
    assert [m.entity_id for m in team.told()] == ["a"]
    assert team.inbox() == []


def test_a_ping_is_passed_on_and_computes_nothing(team: Team) -> None:
    team.ask("a", ping=True)

    assert team.tick() == []

    (told,) = team.told()
    assert told.ping
    assert [entry.job for entry in told.audit_log] == [team.job]
    assert team.catalogue.materialized("report") == set()


def test_force_computes_again_and_goes_on_with_the_message(team: Team) -> None:
    team.put("a")
    team.ask("a")
    team.follow()
    team.told()
    team.ask("a", force=True)

    (run,) = team.follow()

    assert run.counts("materialized") == all_of(1)
    assert [m.force for m in team.told()] == [True]


def test_one_bad_track_is_held_and_the_others_are_passed_on(team: Team) -> None:
    team.put("a", "b")
    team.put("c", text=b"bad")
    team.ask("a", "b", "c", "missing")

    (run,) = team.follow()

    assert not run.success
    assert {m.entity_id for m in team.told()} == {"a", "b"}
    assert team.inbox() == []
    team.put("c", text=b"mended")

    mended = team.run_with(entities="failed")

    assert mended.counts("materialized") == all_of(1)
    assert [m.entity_id for m in team.told()] == ["c"]


def test_messages_for_others_and_poison_are_dropped_and_kept(team: Team) -> None:
    team.put("a")
    team.ask("a", to=Limited((team.job,)))
    team.ask("b", to=Limited((type(team.job)("other-project", "other"),)))
    team.send(b"\xff\xfe poison")

    (run,) = team.follow()

    assert run.counts("materialized") == all_of(1)
    (dead,) = team.dead()
    assert (dead.reason, dead.letter.data) == ("undecodable", b"\xff\xfe poison")
    (told,) = team.told()
    assert told.recipients == Limited((team.job,))
    assert team.left_in_topic() == []


def test_a_run_of_partitions_tells_of_each_entity_that_ran(team: Team) -> None:
    team.put("a", "b")
    team.catalogue.register("a", "b")
    team.run_with(entities=["a"])

    run = team.run_with(entities="all")

    assert run.counts("skipped") == all_of(1)
    told = team.told()
    assert [m.entity_id for m in told] == ["a", "b"]
    assert all(m.recipients == ANYONE and m.version == 2 for m in told)


def test_a_batch_without_a_live_run_is_asked_for_again(team: Team) -> None:
    team.put("a")
    team.ask("a")
    (first,) = team.tick()

    (again,) = team.tick()

    assert again.run_key == first.run_key, "no run of it was ever made"
    assert team.inbox() == ["a"]
    assert isinstance(again, dg.RunRequest)
