"""A process that is given a work's tasks a second time computes only what is left of them."""

from pathlib import Path

import pytest

from klio_dagster.codecs.json import Json
from klio_dagster.core.asset import EntityAsset
from klio_dagster.core.manifest import Task
from klio_dagster.core.receipt import UPSTREAM_FAILED, Failure, Receipt
from klio_dagster.engine.finished import Finished
from klio_dagster.store.receipts import ReceiptPart
from klio_dagster.store.store import Store
from tests.engine import jobs
from tests.engine.driven import written

FIRST = EntityAsset("first", jobs.number, output=Json())
DOUBLED = EntityAsset("doubled", jobs.doubled, deps=["first"], output=Json())
TASK = Task(entity="e", run=["first", "doubled"])


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(str(tmp_path))


def finished(store: Store, *receipts: Receipt) -> Finished:
    manifest = written(store, [FIRST, DOUBLED], ["e"])
    part = ReceiptPart(store, "run", "1")
    for receipt in receipts:
        part.write(receipt)
    part.close()
    known = Finished(store, manifest, lambda: 5.0)
    known.look()
    return known


def receipt(asset: str, failure: Failure | None = None) -> Receipt:
    version = "" if failure else f"v-{asset}"
    return Receipt(
        run="run", entity="e", asset=asset, finished_at=1.0, data_version=version, failure=failure
    )


def test_what_nobody_has_begun_is_all_to_be_done(store: Store) -> None:
    assert finished(store).left_of(TASK) == ((TASK,), ())


def test_what_is_finished_is_an_input_of_the_rest(store: Store) -> None:
    (left,), failed = finished(store, receipt("first")).left_of(TASK)

    assert left.run == ("doubled",)
    assert left.versions == {"first": "v-first"}
    assert list(failed) == []


def test_of_what_is_all_finished_nothing_is_left(store: Store) -> None:
    left, failed = finished(store, receipt("first"), receipt("doubled")).left_of(TASK)

    assert (list(left), list(failed)) == ([], [])


def test_what_depends_on_what_failed_is_not_tried(store: Store) -> None:
    """Its process died between the two receipts."""
    left, failed = finished(store, receipt("first", Failure("ValueError", "bad"))).left_of(TASK)

    assert list(left) == []
    assert [(r.asset, r.failure and r.failure.type) for r in failed] == [
        ("doubled", UPSTREAM_FAILED)
    ]


def test_what_comes_later_is_seen_with_the_next_look(store: Store) -> None:
    known = finished(store)
    part = ReceiptPart(store, "run", "2")
    part.write(receipt("first"))
    part.close()

    known.look()

    assert [task.run for task in known.left_of(TASK)[0]] == [("doubled",)]
