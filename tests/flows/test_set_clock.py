"""The wall clock set back by an hour between two runs, and while one computes."""

import os
import subprocess
import sys
from uuid import uuid4

import pytest

from klio_dagster.codecs.hashing import data_version
from klio_dagster.codecs.json import Json
from klio_dagster.core.receipt import Failure, Receipt
from klio_dagster.store.claims import read_claims
from klio_dagster.store.layout import OPEN_PREFIX, output_path
from klio_dagster.store.open_claim import open_claim
from klio_dagster.store.receipts import ReceiptPart
from tests.flows.catalogue import Catalogue, all_of, the_group, tracks

HOUR = 3600
ASSETS = ("recording", "mel", "report")
HOLD = """
import sys
from klio_dagster.store.open_claim import open_claim
from klio_dagster.store.store import Store
url, run_id, seen = sys.argv[1:]
open_claim(Store.open(url), run_id, assets=["recording", "mel", "report"], seen=int(seen))
"""


def forced_an_hour_ago(catalogue: Catalogue, run_id: str, failure: Failure | None = None) -> None:
    """Another report of b, computed by a run that began after the records, by a clock set back."""
    known = catalogue.ledger.records(ASSETS, ["b"])["report"]["b"]
    data = Json().dump({"computed": "anew"}).data
    catalogue.store.put(output_path("report", "b", ".json"), data)
    part = ReceiptPart(catalogue.store, run_id, "1")
    part.write(
        Receipt(
            run=run_id,
            entity="b",
            asset="report",
            data_version=data_version(data),
            code_version=the_group(tracks()).code_versions["report"],
            inputs=dict(known.input_versions),
            finished_at=known.timestamp - HOUR,
            failure=failure,
        )
    )
    part.close()


def test_what_a_run_computed_after_the_clock_was_set_back_is_recorded_when_it_died(
    computed: Catalogue,
) -> None:
    run_id, seen = str(uuid4()), computed.ledger.newest_event(ASSETS)
    holding = [sys.executable, "-c", HOLD, computed.store.url, run_id, str(seen)]
    subprocess.run(holding, check=True)
    forced_an_hour_ago(computed, run_id)

    ran = computed.run(tracks(), entities="all")

    record = computed.ledger.records(["report"], ["b"])["report"]["b"]
    assert ran.counts("skipped") == all_of(2)
    assert record.data_version == data_version(computed.store.get("report/b.json"))
    assert computed.load("report/b.json") == {"computed": "anew"}
    assert read_claims(computed.store) == []


def test_what_a_live_run_computed_after_the_clock_was_set_back_counts_at_once(
    computed: Catalogue,
) -> None:
    run_id, seen = str(uuid4()), computed.ledger.newest_event(ASSETS)
    holding = open_claim(computed.store, run_id, assets=["report"], seen=seen)
    before = computed.reasons(tracks(), "b")["report"]
    forced_an_hour_ago(computed, run_id, Failure("ValueError", "no sound in it"))

    after = computed.reasons(tracks(), "b")["report"]

    assert (before, after) == ("in_flight", "failed")
    holding.close()


@pytest.mark.parametrize("by_s", [HOUR, -HOUR], ids=["forward", "back"])
def test_a_live_run_is_waited_for_when_the_clock_is_set_while_it_computes(
    computed: Catalogue, by_s: int
) -> None:
    holding = open_claim(computed.store, str(uuid4()), assets=ASSETS)
    for info in computed.store.list(OPEN_PREFIX):
        # What the clock that was set by so much would have written into the folder.
        at = info.modified.timestamp() - by_s
        os.utime(computed.folder / info.path, (at, at))

    ran = computed.run(tracks(factor=2), entities="all", max_wait_s=0.0)

    assert ran.counts("waiting")["mel"] == 2
    assert [state.claim.run_id for state in read_claims(computed.store)] == [holding.claim.run_id]
