"""What people are shown of an entity: both ledgers tell the same."""

from tests.ledger.catalogue import START, failed, mel, new_run, recording


def test_an_attempt_tells_when_where_and_with_which_numbers(ledger):
    run = new_run()
    ledger.record(run, [recording("a", metadata={"duration_s": 2.5, "note": "loud"}, size=7)])

    (made,) = ledger.attempts("recording", ["a", "never"])["a"]

    assert made.failure is None
    assert (made.timestamp, made.run_id) == (START + 1.0, run.run_id)
    assert made.tags["dagster/data_version"] == "r1"
    assert made.metadata["duration_s"] == 2.5
    assert made.metadata["note"] == "loud"
    assert made.metadata["bytes"] == 7


def test_a_failure_stands_before_the_output_that_is_older(ledger):
    ledger.record(new_run(), [recording("a", at=1)])
    ledger.record(new_run(), [failed("a", at=3)])

    found = ledger.attempts("recording", ["a"])["a"]

    assert [attempt.failure for attempt in found] == ["ValueError", None]
    assert found[0].metadata["error"] == "ValueError: no audio in it"
    assert "line 2" in found[0].metadata["traceback"]


def test_a_failure_that_was_mended_is_not_told(ledger):
    ledger.record(new_run(), [failed("a", at=1)])
    ledger.record(new_run(), [recording("a", at=3)])

    assert [attempt.failure for attempt in ledger.attempts("recording", ["a"])["a"]] == [None]


def test_an_observed_version_is_no_attempt(ledger):
    ledger.observe_sources(None, "recording", {"a": "s1"})

    assert not ledger.attempts("recording", ["a"])


def test_only_those_asked_for_are_told(ledger):
    ledger.record(new_run(), [recording("a"), recording("b"), mel("a")])

    assert set(ledger.attempts("recording", ["b"])) == {"b"}
    assert ledger.attempts("recording", []) == {}


def test_numbers_are_those_of_the_newest_output(ledger):
    odd = {"peak": float("nan"), "loop": True, "format": "wav"}
    ledger.record(new_run(), [recording("a", at=1, metadata={"duration_s": 1.0})])
    ledger.record(new_run(), [recording("a", at=2, metadata={"duration_s": 2.0, **odd})])
    ledger.record(new_run(), [failed("b")])

    numbers = ledger.latest_numbers("recording")

    assert set(numbers) == {"a"}
    assert numbers["a"]["duration_s"] == 2.0
    assert not {"peak", "loop", "format"} & set(numbers["a"])


def test_every_event_of_an_asset_moves_the_newest_on(ledger):
    keys = ["recording", "audio/mel"]
    seen = [ledger.newest_event(keys)]

    for receipt in (recording("a"), mel("a"), failed("b")):
        ledger.record(new_run(), [receipt])
        seen.append(ledger.newest_event(keys))

    assert seen[0] == 0
    assert seen == sorted(set(seen))
    assert ledger.newest_event(["another"]) == 0
