"""How often it was tried in vain: both ledgers count the same, on every storage."""

import pytest

from klio_dagster.core.record import Tries
from klio_dagster.ledger.events import asset_key
from tests.ledger.catalogue import LEDGERS, START, failed, mel, new_run, recording


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def kind(request):
    return request.param


@pytest.fixture(params=LEDGERS, ids=list(LEDGERS))
def ledger(request, instance):
    return LEDGERS[request.param](instance)


def tried(ledger, *receipts):
    """Each in a run of its own."""
    for receipt in receipts:
        ledger.record(new_run(), [receipt])


def blocked(entity, at):
    return failed(entity, at=at, asset="audio/mel", type="upstream_failed", message="because")


def numbers(found: Tries) -> tuple[int, int, float]:
    return found.failed, found.fresh, found.last_at - START


def test_failures_are_counted_since_the_output_was_made(ledger):
    tried(ledger, failed("a", at=1), recording("a", at=2), failed("a", at=3), failed("a", at=4))

    (entity,) = found = ledger.tries("recording", None, {})

    assert entity == "a"
    assert numbers(found["a"]) == (2, 2, 4.0)
    assert found["a"].event_id == ledger.newest_event(["recording"])


def test_what_worked_last_or_was_never_tried_is_left_out(ledger):
    tried(ledger, failed("a", at=1), recording("a", at=2), recording("b"), mel("c"))

    assert ledger.tries("recording", None, {}) == {}
    assert ledger.tries("recording", ["a", "never"], {}) == {}


def test_an_observed_version_and_failures_of_other_assets_are_no_tries(ledger):
    ledger.observe_sources(None, "recording", {"a": "s1"})
    tried(ledger, failed("a", asset="audio/mel"))

    assert ledger.tries("recording", None, {}) == {}


def test_what_another_failure_kept_from_being_tried_counts_as_no_try(ledger):
    text = '{"klio/failure": "upstream_failed"}'
    tried(ledger, failed("a", at=1, asset="audio/mel", message=text), blocked("a", at=2))
    tried(ledger, blocked("b", at=5))

    found = ledger.tries("audio/mel", None, {})

    assert numbers(found["a"]) == (1, 1, 1.0)
    assert found["a"].event_id < found["b"].event_id
    assert numbers(found["b"]) == (0, 0, 5.0)


def test_what_somebody_knows_already_is_not_fresh(ledger):
    tried(ledger, failed("a", at=1), failed("b", at=1), failed("a", at=2))
    known = {e: tries.event_id for e, tries in ledger.tries("recording", None, {}).items()}
    tried(ledger, failed("a", at=3), blocked("b", at=4))

    found = ledger.tries("recording", None, known)

    assert numbers(found["a"]) == (3, 1, 3.0)
    assert numbers(found["b"]) == (1, 0, 1.0)


def test_only_those_asked_for_are_counted(ledger):
    odd = 'it\'s 50% "a_b" \u2028 \U0001f3a7'
    tried(ledger, failed("a"), failed(odd))

    assert set(ledger.tries("recording", [odd, "c"], {})) == {odd}
    assert ledger.tries("recording", [], {}) == {}


def test_what_was_wiped_in_the_ui_is_forgotten(ledger, instance):
    tried(ledger, failed("a"))
    instance.wipe_assets([asset_key("recording")])

    assert ledger.tries("recording", None, {}) == {}
