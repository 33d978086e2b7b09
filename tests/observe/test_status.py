"""Counts of several groups together, and what failed by itself."""

from klio_dagster.core.record import FailedPair
from klio_dagster.observe.failures import common, failures_of, grouped
from klio_dagster.observe.status import Status


class KnownFailures:
    """As much of a ledger as is asked."""

    def __init__(self, *pairs):
        self._pairs = list(pairs)

    def failures(self, keys, entities):
        return [pair for pair in self._pairs if pair.asset in keys]


def test_groups_of_one_catalogue_count_its_entities_once():
    one = Status({"tracks": 3}, {"mel": {"materialized": 3}})
    two = Status({"tracks": 3}, {"labels": {"materialized": 1}})
    three = Status({"talks": 4}, {"words": {"materialized": 0}})

    together = Status.of_groups([one, two, three])

    assert together.to_json() == {
        "entities": 7,
        "assets": {
            "mel": {"materialized": 3},
            "labels": {"materialized": 1},
            "words": {"materialized": 0},
        },
    }


def test_what_is_blocked_is_counted_and_the_causes_stand_in_the_order_of_the_assets():
    ledger = KnownFailures(
        FailedPair("mel", "b", "ValueError", "ValueError: b", "run-1"),
        FailedPair("recording", "c", "SIGKILL", "SIGKILL: c", "run-1"),
        FailedPair("mel", "c", "upstream_failed", "upstream_failed: recording", "run-1"),
        FailedPair("mel", "a", "ValueError", "ValueError: a", "run-2"),
    )

    found = failures_of(ledger, ["recording", "mel"])

    assert [(pair.asset, pair.entity) for pair in found.causes] == [
        ("recording", "c"),
        ("mel", "a"),
        ("mel", "b"),
    ]
    assert found.to_json()["blocked"] == 1
    assert found.to_json()["failures"][0] == {
        "entity": "c",
        "asset": "recording",
        "error": "SIGKILL: c",
        "run_id": "run-1",
    }


def failed(entity: str, error: str, asset: str = "mel", kind: str = "ValueError") -> FailedPair:
    return FailedPair(asset, entity, kind, error, "r1")


def test_errors_that_differ_in_ids_and_numbers_only_are_one_group_with_examples():
    said = [
        failed(f"track {n}", f"ValueError: /data/track%20{n}.wav of track {n} has {n}.5 s")
        for n in range(1000)
    ]

    (group,) = grouped(said)

    assert group.message == "ValueError: /data/{entity}.wav of {entity} has # s"
    assert (group.count, group.examples) == (1000, ["track 0", "track 1", "track 2"])
    assert group.error == said[0].error


def test_other_assets_other_types_and_other_words_are_other_groups_the_largest_first():
    groups = grouped(
        [
            failed("a", "OSError: 1 lost", kind="OSError"),
            failed("b", "ValueError: too short"),
            failed("c", "ValueError: too short"),
            failed("d", "ValueError: too short", asset="report"),
        ]
    )

    found = [(group.asset, group.kind, group.count) for group in groups]
    assert found == [("mel", "ValueError", 2), ("mel", "OSError", 1), ("report", "ValueError", 1)]


def test_an_id_that_is_a_letter_is_not_taken_out_of_words():
    assert common("ValueError: a bad 'a' at 0x7f3a11", "a") == (
        "ValueError: {entity} bad '{entity}' at #"
    )


def test_failures_of_different_lines_of_code_are_different_groups():
    said = [failed(each, f"ValueError: {each} is bad (jobs.py:{each})") for each in ("4", "41")]

    messages = [group.message for group in grouped(said)]

    assert messages == [f"ValueError: {{entity}} is bad (jobs.py:{n})" for n in ("4", "41")]
