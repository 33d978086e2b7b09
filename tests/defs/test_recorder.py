"""What is computed elsewhere may come twice; it is recorded and counted once."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from klio_dagster.core.receipt import Failure, Receipt
from klio_dagster.defs.recorder import Recorder
from klio_dagster.engine.progress import Progress


def receipt(entity: str, at: float = 1.0) -> Receipt:
    return Receipt(run="r1", entity=entity, asset="mel", finished_at=at)


def failed(entity: str, at: float) -> Receipt:
    return replace(receipt(entity, at), failure=Failure("TimeoutError", "it took too long"))


class Taken:
    """What was recorded, in the ledger's and the summary's place."""

    def __init__(self) -> None:
        self.receipts: list[Receipt] = []
        self.counted: list[Receipt] = []
        self.mended: list[Receipt] = []
        self.told: list[Receipt] = []

    def record(self, _run: object, receipts: Sequence[Receipt]) -> None:
        self.receipts += receipts

    def add(self, receipts: Sequence[Receipt]) -> None:
        self.counted += receipts

    def make_good(self, receipts: Sequence[Receipt]) -> None:
        self.mended += receipts


def recorder(taken: Any, progress: Progress, *, may_repeat: bool) -> Recorder:
    return Recorder(
        taken,
        taken,
        taken,
        progress,
        say=lambda _: None,
        watch=lambda _: None,
        confirm=lambda: None,
        then=taken.told.extend,
        may_repeat=may_repeat,
    )


@pytest.mark.parametrize("again", ["together", "later"])
def test_what_two_processes_computed_counts_once_and_hides_nothing_that_is_missing(
    again: str,
) -> None:
    taken, progress = Taken(), Progress(3, clock=lambda: 0.0)
    takes = recorder(taken, progress, may_repeat=True)

    for receipts in (
        [[receipt("a"), receipt("a"), receipt("b")]]
        if again == "together"
        else [[receipt("a")], [receipt("b"), receipt("a")]]
    ):
        takes.add(receipts)
        takes.flush()

    assert [each.entity for each in taken.receipts] == ["a", "b"]
    assert taken.counted == taken.receipts
    assert progress.left == 1


def test_whoever_wrote_the_output_last_is_in_the_ledger() -> None:
    taken, progress = Taken(), Progress(1, clock=lambda: 0.0)
    takes = recorder(taken, progress, may_repeat=True)

    for at in (1.0, 3.0, 2.0):
        takes.add([receipt("a", at)])
        takes.flush()

    assert [each.finished_at for each in taken.receipts] == [1.0, 3.0]
    assert [each.finished_at for each in taken.counted] == [1.0]


def test_an_output_stands_whatever_failed_beside_it() -> None:
    taken, progress = Taken(), Progress(2, clock=lambda: 0.0)
    takes = recorder(taken, progress, may_repeat=True)

    for each in (receipt("a", 1.0), failed("a", 2.0), failed("b", 3.0), receipt("b", 2.0)):
        takes.add([each])
        takes.flush()

    assert taken.receipts == [receipt("a", 1.0), failed("b", 3.0), receipt("b", 2.0)]
    assert taken.mended == [receipt("b", 2.0)]


@pytest.mark.parametrize("order", [1, -1], ids=["output first", "failure first"])
def test_of_both_in_one_batch_the_ledger_hears_of_the_output_alone(order: int) -> None:
    taken, progress = Taken(), Progress(1, clock=lambda: 0.0)
    takes = recorder(taken, progress, may_repeat=True)

    takes.add([receipt("a", 8.0), failed("a", 10.0)][::order])
    takes.flush()

    assert taken.receipts == [receipt("a", 8.0)]
    assert taken.told[-1] == receipt("a", 8.0), "what is passed on is decided by the last one"
