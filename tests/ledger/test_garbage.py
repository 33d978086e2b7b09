"""Outputs that no record names, found and removed while runs come and go."""

from collections.abc import Iterator

import pytest

from klio_dagster.ledger.garbage import Kind, Output, orphans, remove_orphans
from klio_dagster.ledger.ledger import Ledger
from klio_dagster.store.claims import OpenClaim, open_claim, store_time
from klio_dagster.store.layout import output_path
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
