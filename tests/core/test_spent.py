"""Where the time of a run went, counted from its receipts."""

from klio_dagster.core.check import Evaluation
from klio_dagster.core.receipt import Failure, Receipt
from klio_dagster.core.spent import Findings, Spent, was_attempted


def receipt(entity, seconds, **fields):
    return Receipt(
        run="r",
        entity=entity,
        asset="mel",
        started_at=100.0,
        finished_at=100.0 + seconds,
        **{"cpu_s": 0.5, **fields},
    )


def test_seconds_are_added_up_and_the_slowest_track_is_named():
    spent = Spent()

    for each in (receipt("a", 1.0), receipt("b", 3.0), receipt("c", 1.0)):
        spent.add(each)

    assert spent.to_json() == {
        "outputs": 3,
        "seconds": 5.0,
        "cpu_s": 1.5,
        "outputs_per_s": 0.6,
        "slowest": {"entity": "b", "seconds": 3.0},
    }


def test_a_batch_takes_its_time_once_not_once_a_track():
    spent = Spent()

    for entity in "abcd":
        spent.add(receipt(entity, 2.0, together=4))

    assert spent.seconds == 2.0
    assert spent.slowest_s == 0.5


def test_what_was_never_attempted_took_no_time():
    blocked = receipt("a", 1.0, failure=Failure.blocked_by("'recording'"))
    planned = Receipt(run="r", entity="a", asset="mel", finished_at=1e9)
    timed_out = receipt("a", 600.0, failure=Failure("Timeout", "after 600 s"))

    assert [was_attempted(each) for each in (blocked, planned, timed_out)] == [False, False, True]


def test_checks_are_counted_as_passed_warned_or_failed():
    findings = Findings()
    for name, passed, severity in (
        ("loud", True, "warn"),
        ("loud", False, "warn"),
        ("finite", False, "blocking"),
    ):
        check = Evaluation(check=name, passed=passed, severity=severity)
        findings.add(receipt("a", 1.0, checks=(check,)))

    assert findings.to_json() == {
        "mel": {
            "finite": {"passed": 0, "warned": 0, "failed": 1},
            "loud": {"passed": 1, "warned": 1, "failed": 0},
        }
    }
