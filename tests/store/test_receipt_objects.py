"""Receipts in a bucket: an object a flush, followed by name, compacted afterwards."""

import threading
import time
from itertools import count

import pytest

from klio_dagster.core.receipt import Receipt
from klio_dagster.errors import StoreUnavailableError
from klio_dagster.store.layout import receipts_prefix
from klio_dagster.store.memory import MemoryStore
from klio_dagster.store.receipt_objects import ObjectTail, ReceiptObjects
from klio_dagster.store.receipts import ReceiptTail, compact, compacted
from klio_dagster.store.store import Store
from tests.services.buckets import Bucket

RUN = "run-1"
LONG_S = 60.0


def line(number: int) -> bytes:
    return Receipt(run=RUN, entity=f"e-{number}", asset="mel", finished_at=float(number)).to_line()


def new(tail: ReceiptTail | ObjectTail) -> list[int]:
    """The numbers of the receipts that came since the last call."""
    return [int(r.finished_at) for receipts in tail.new() for r in receipts]


def written(store: Store, *numbers: int) -> None:
    objects = ReceiptObjects(store, RUN, every_s=LONG_S)
    for number in numbers:
        objects.add(line(number))
    objects.close()


def test_what_is_finished_together_is_one_object_and_is_there_after_a_flush():
    store = MemoryStore()
    objects = ReceiptObjects(store, RUN, every_s=LONG_S, at=200)
    for number in range(50):
        objects.add(line(number))
    assert list(store.list()) == []

    objects.flush()

    assert len(list(store.list())) == 1
    assert new(ObjectTail(store, RUN)) == list(range(50))
    objects.flush()
    objects.close()
    assert len(list(store.list())) == 1


def test_two_hundred_are_written_without_being_asked_and_so_is_one_that_waits():
    store = MemoryStore()
    many = ReceiptObjects(store, RUN, every_s=LONG_S, at=200)
    one = ReceiptObjects(store, RUN, every_s=0.2)

    for number in range(200):
        many.add(line(number))
    one.add(line(1000))

    tail, seen = ObjectTail(store, RUN), set[int]()
    end = time.monotonic() + 10
    while len(seen) < 201 and time.monotonic() < end:
        seen.update(new(tail))
        time.sleep(0.01)
    assert seen == {*range(200), 1000}
    many.close()
    one.close()


def test_what_comes_while_the_store_is_slow_goes_with_the_next_object():
    class Slow(MemoryStore):
        may_go = threading.Event()

        def put(self, path: str, data: bytes) -> None:
            self.may_go.wait()
            super().put(path, data)

    store = Slow()
    objects = ReceiptObjects(store, RUN, every_s=0.0)
    for number in range(30):
        objects.add(line(number))
    store.may_go.set()
    objects.flush()

    assert sorted(new(ObjectTail(store, RUN))) == list(range(30))
    assert len(list(store.list())) <= 3
    objects.close()


def test_a_store_that_takes_none_is_said_to_whoever_waits_for_it():
    class Down(MemoryStore):
        def put(self, path: str, data: bytes) -> None:
            raise StoreUnavailableError("it is down", path, "wait")

    objects = ReceiptObjects(Down(), RUN, every_s=LONG_S)
    objects.add(line(1))

    with pytest.raises(StoreUnavailableError, match="it is down"):
        objects.flush()
    with pytest.raises(StoreUnavailableError, match="it is down"):
        objects.add(line(2))
    objects.close()


def test_a_tail_reads_each_object_once_and_looks_once_a_second():
    clock = count().__next__
    tail = ObjectTail(MemoryStore(), RUN, clock=lambda: clock() / 2)

    assert tail.is_due
    assert new(tail) == []
    assert [tail.is_due for _ in range(3)] == [False, True, True]


def test_a_run_on_a_bucket_is_followed_and_then_compacted(bucket: Bucket):
    store = bucket.store()
    tail = ReceiptTail(store, RUN)
    assert new(tail) == []

    written(store, 1, 2)
    assert new(tail) == [1, 2]
    written(store, 3)
    assert new(tail) == [3]
    assert new(tail) == []

    compact(store, RUN)
    written(store, 4)
    compact(store, RUN)
    compact(store, RUN)
    assert [int(r.finished_at) for r in compacted(store, RUN)][-1] == 4
    assert sorted(int(r.finished_at) for r in compacted(store, RUN)) == [1, 2, 3, 4]
    assert [i.path for i in store.list()] == [f"{receipts_prefix(RUN)}compacted.jsonl.gz"]
