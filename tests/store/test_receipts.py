"""Receipts on disk: durable from one write on, followed while they grow, compacted afterwards."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klio_dagster.core.receipt import Failure, Receipt
from klio_dagster.errors import ConfigError, StoreUnavailableError
from klio_dagster.store.layout import receipts_prefix
from klio_dagster.store.receipts import (
    ReceiptPart,
    ReceiptTail,
    check_store,
    compact,
    compacted,
    part_receipts,
)
from klio_dagster.store.store import Store
from tests.store.counting import Counting

RUN = "run-1"


def receipt(number: int, **fields: object) -> Receipt:
    return Receipt(run=RUN, entity=f"e-{number}", asset="mel", finished_at=float(number), **fields)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(str(tmp_path / "store"))


def folder(store: Store) -> Path:
    path = store.local_path(receipts_prefix(RUN).rstrip("/"))
    assert path is not None
    return path


def write(store: Store, writer: str, *numbers: int) -> None:
    part = ReceiptPart(store, RUN, writer)
    for number in numbers:
        part.write(receipt(number))
    part.close()


def new(tail: ReceiptTail) -> list[int]:
    """The numbers of the receipts that came since the last call."""
    return [int(r.finished_at) for receipts in tail.new() for r in receipts]


def test_what_was_written_is_read_back_equal(store: Store) -> None:
    given_ones = [
        receipt(1, uri="/x", size=3, metadata={"a": 1.5}, figures={"dot": b"png"}),
        receipt(2, failure=Failure("ValueError", "of a line\u2028and more", "traceback", True)),
    ]
    part = ReceiptPart(store, RUN, "w")
    for each in given_ones:
        part.write(each)

    assert part_receipts(store, RUN, "w") == given_ones
    assert part_receipts(store, RUN, "nobody") == []
    part.close()


def test_a_tail_gives_each_receipt_once_whoever_writes_it_and_when(store: Store) -> None:
    tail = ReceiptTail(store, RUN)
    assert new(tail) == []

    write(store, "one", 1, 2)
    assert new(tail) == [1, 2]
    write(store, "two", 3)
    write(store, "one", 4)
    assert sorted(new(tail)) == [3, 4]
    assert new(tail) == []


def test_a_line_that_is_still_being_written_is_read_when_it_is_whole(store: Store) -> None:
    write(store, "w", 1)
    line = receipt(2).to_line()
    tail = ReceiptTail(store, RUN)
    with (folder(store) / "w.jsonl").open("ab", buffering=0) as file:
        file.write(line[:20])

        assert new(tail) == [1]
        assert new(tail) == []
        file.write(line[20:])
        assert new(tail) == [2]


def test_a_line_torn_by_a_kill_costs_no_receipt_around_it(store: Store) -> None:
    write(store, "killed", 1)
    with (folder(store) / "killed.jsonl").open("ab") as file:
        file.write(receipt(2).to_line()[:20])
    write(store, "next", 3)

    assert sorted(new(ReceiptTail(store, RUN))) == [1, 3]
    compact(store, RUN)
    assert sorted(int(r.finished_at) for r in compacted(store, RUN)) == [1, 3]


@given(
    cuts=st.lists(st.integers(0, 2000), max_size=6),
    at_once=st.integers(1, 700),
)
def test_however_a_part_grows_and_is_read_each_receipt_comes_once(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], at_once: int
) -> None:
    store = Store.open(str(tmp_path_factory.mktemp("store")))
    data = b"".join(receipt(number).to_line() for number in range(6))
    ends = sorted({*(min(cut, len(data)) for cut in cuts), len(data)})
    folder(store).mkdir(parents=True)
    tail = ReceiptTail(store, RUN)
    seen: list[int] = []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("klio_dagster.store.receipts._READ_AT_ONCE", at_once)
        for begin, end in zip([0, *ends], ends, strict=False):
            with (folder(store) / "w.jsonl").open("ab") as file:
                file.write(data[begin:end])
            seen += new(tail)

    assert seen == list(range(6))


def test_compaction_leaves_one_object_with_all_receipts(store: Store) -> None:
    write(store, "one", 1, 2)
    write(store, "two", 2, 3)

    compact(store, RUN)

    assert [path.name for path in folder(store).iterdir()] == ["compacted.jsonl.gz"]
    assert sorted(int(r.finished_at) for r in compacted(store, RUN)) == [1, 2, 2, 3]
    assert new(ReceiptTail(store, RUN)) == []


def test_compacting_again_keeps_what_was_compacted(store: Store) -> None:
    write(store, "one", 1)
    compact(store, RUN)
    compact(store, RUN)
    write(store, "one", 2)
    compact(store, RUN)

    assert [int(r.finished_at) for r in compacted(store, RUN)] == [1, 2]


def test_equal_receipts_compact_to_equal_bytes(tmp_path: Path) -> None:
    stores = [Store.open(str(tmp_path / name)) for name in ("a", "b")]
    for store in stores:
        write(store, "w", 1, 2)
        compact(store, RUN)

    one, other = ((folder(store) / "compacted.jsonl.gz").read_bytes() for store in stores)
    assert one == other


def test_a_part_compacted_while_others_read_it_is_no_error(store: Store) -> None:
    write(store, "1", 1)
    write(store, "2", 2)
    reading: Iterator[list[Receipt]] = ReceiptTail(store, RUN).new()
    assert [r.finished_at for r in next(reading)] == [1.0]

    compact(store, RUN)

    assert list(reading) == []


def test_a_run_without_receipts_is_compacted_to_nothing(store: Store) -> None:
    compact(store, RUN)

    assert compacted(store, RUN) == []
    assert not folder(store).exists()


def test_a_compacted_run_is_not_read_again(store: Store) -> None:
    write(store, "w", *range(100))
    compact(store, RUN)
    counting = Counting.at(store)

    assert new(ReceiptTail(counting, RUN)) == []
    compact(counting, RUN)

    assert counting.asked == []


def test_a_store_that_no_worker_sees_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the memory of one process"):
        check_store(Store.open("memory://"))
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ConfigError, match=r"receipts cannot be written \(Not a directory\)"):
        ReceiptPart(Store.open(str(file)), RUN, "w")


def test_a_full_disk_is_an_error_that_may_pass(store: Store) -> None:
    part = ReceiptPart(store, RUN, "w")
    os.close(part._file)
    part._file = os.open("/dev/full", os.O_WRONLY)

    with pytest.raises(StoreUnavailableError, match="No space left on device") as full:
        part.write(receipt(1))

    assert full.value.transient
    part.close()
