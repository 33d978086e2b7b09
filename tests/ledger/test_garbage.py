"""Outputs that no record names, found and removed while runs come and go."""

from collections.abc import Iterator

import pytest

from klio_dagster.ledger.garbage import Keep, Kind, Output, garbage, orphans, remove_orphans
from klio_dagster.ledger.ledger import Ledger
from klio_dagster.store.clock import store_time
from klio_dagster.store.layout import output_path
from klio_dagster.store.open_claim import OpenClaim, open_claim
from klio_dagster.store.store import Store
from tests.ledger.catalogue import LEDGERS

MEL = Output(key="mel", suffix=".json", suffixes=[".json"])


@pytest.fixture
def store(tmp_path) -> Store:
    return Store.open(str(tmp_path / "store"))


@pytest.fixture
def ledger(instance) -> Ledger:
    return LEDGERS["batched"](instance)


def test_what_a_run_stores_after_the_claims_were_read_stays(store: Store, ledger: Ledger):
    claims: list[OpenClaim] = []

    def outputs() -> Iterator[Output]:  # asked for once the claims have been read
        claims.append(open_claim(store, "started-meanwhile", assets=["mel"]))
        store.put("mel/a.json", b"1")
        yield MEL

    found = list(orphans(store, ledger, outputs(), now=store_time(store)))

    assert len(claims) == 1
    assert found == []


def test_what_was_stored_before_and_has_no_record_is_found(store: Store, ledger: Ledger):
    store.put("mel/a.json", b"1")

    found = list(orphans(store, ledger, [MEL], now=store_time(store) + 1))

    assert [(kind, info.path) for kind, info in found] == [(Kind.ORPHAN, "mel/a.json")]


def test_an_orphan_stays_while_a_run_that_started_since_holds_its_asset(
    store: Store, ledger: Ledger
):
    paths = ["mel/a.json", output_path("mel", "long" * 60, ".json"), "mfcc/a.json"]
    for path in paths:
        store.put(path, b"1")
    found = [store.head(path) for path in paths]
    claim = open_claim(store, "started-since", assets=["mel"])

    remove_orphans(store, found)
    during = [store.exists(path) for path in paths]
    claim.close()
    remove_orphans(store, found)

    assert during == [True, True, False]
    assert not any(map(store.exists, paths))


# ------------------------------------------------------------------ messages

MESSAGES = (
    "inbox/messages/batch-1.jsonl",
    "waiting/audio/mel/a",
    "held/tracks/a",
    "dead-letter/tracks/0123.json",
    "outbox/tracks/run-1.jsonl",
    "replay/messages/0123.json",
)


def old_garbage(store: Store, ledger: Ledger, younger_than: float = 1e12) -> list[str]:
    keep = Keep(younger_than=younger_than, requests=())
    return [info.path for _, info in garbage(store, ledger, keep, [], now=store_time(store) + 1e6)]


def test_no_message_is_garbage_however_old(store: Store, ledger: Ledger):
    for path in MESSAGES:
        store.put(f"_klio/{path}", b"{}")

    assert old_garbage(store, ledger) == []


@pytest.mark.parametrize(
    ("beside", "is_kept"),
    [
        pytest.param(None, False, id="its batch is gone"),
        pytest.param("_klio/inbox/messages/work.jsonl", True, id="its batch is in the inbox"),
        pytest.param("_klio/inbox/messages/other.jsonl", False, id="another batch is"),
    ],
)
def test_notes_of_what_was_passed_on_go_with_their_work(
    store: Store, ledger: Ledger, beside: str | None, is_kept: bool
):
    store.put("_klio/published/work/0.json", b"{}")
    if beside:
        store.put(beside, b"{}")

    young = old_garbage(store, ledger, younger_than=store_time(store) - 60)
    found = old_garbage(store, ledger)

    assert young == []
    assert found == ([] if is_kept else ["_klio/published/work/0.json"])


def test_notes_of_a_run_that_holds_its_claim_stay(store: Store, ledger: Ledger):
    claim = open_claim(store, "work", assets=["mel"])
    store.put("_klio/published/work/0.json", b"{}")

    held = old_garbage(store, ledger)
    claim.close()

    assert held == []
    assert old_garbage(store, ledger) == ["_klio/published/work/0.json"]
