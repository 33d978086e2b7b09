"""Counts of several groups together, and what failed by itself."""

from klio_dagster.core.record import FailedPair
from klio_dagster.observe.status import Status, failures_of


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
