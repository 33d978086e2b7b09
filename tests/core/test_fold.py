"""Whatever order receipts come in, how often, and where a kill tore them: one result."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klio_dagster.core.fold import as_record, fold, fold_work, read_lines, unrecorded
from klio_dagster.core.receipt import Failure, Receipt
from klio_dagster.core.record import NO_VERSIONS, Record

# Few values of everything, so that receipts meet. What failed differs by its message only.
_common = {
    "run": st.sampled_from(["a", "b"]),
    "attempt": st.integers(1, 2),
    "entity": st.sampled_from(["one", "two"]),
    "asset": st.sampled_from(["mel", "features"]),
    "finished_at": st.sampled_from([1.0, 2.0, 3.0]),
}
_errors = st.builds(Failure, type=st.just("ValueError"), message=st.sampled_from(["no", "loud"]))
many = st.lists(
    st.builds(Receipt, **_common, size=st.integers(1, 2))
    | st.builds(Receipt, **_common, failure=_errors),
    max_size=8,
)


def good(finished_at: float, entity: str = "one", asset: str = "mel") -> Receipt:
    return Receipt(
        run="run",
        entity=entity,
        asset=asset,
        finished_at=finished_at,
        code_version="c2",
        data_version="d2",
        inputs={"recording": "r2"},
    )


def failed(finished_at: float) -> Receipt:
    return replace(good(finished_at), failure=Failure("ValueError", "no sound"))


@given(many, st.data())
def test_receipts_in_any_order_fold_to_the_same(given_receipts: list[Receipt], data: st.DataObject):
    other = data.draw(st.permutations(given_receipts))

    assert fold(other) == fold(given_receipts)


@given(many)
def test_receipts_read_twice_change_nothing(given_receipts: list[Receipt]):
    assert fold(given_receipts * 2) == fold(given_receipts)


@given(many, many)
def test_receipts_that_come_late_fold_as_if_they_had_come_in_time(
    early: list[Receipt], late: list[Receipt]
):
    assert fold([*fold(early).values(), *late]) == fold([*early, *late])


@given(many)
def test_of_each_track_the_receipt_that_finished_last_is_kept(given_receipts: list[Receipt]):
    folded = fold(given_receipts)

    assert set(folded) == {receipt.pair for receipt in given_receipts}
    for pair, newest in folded.items():
        times = [r.finished_at for r in given_receipts if r.pair == pair]
        assert newest.finished_at == max(times)


@pytest.mark.parametrize("order", [1, -1], ids=["good first", "failed first"])
def test_of_two_that_finished_at_once_the_good_one_is_kept(order: int):
    both = [good(1.0), failed(1.0)][::order]

    assert fold(both) == {("mel", "one"): good(1.0)}


@given(many)
def test_of_one_work_an_output_stands_whatever_failed_beside_it(given_receipts: list[Receipt]):
    folded = fold_work(given_receipts)

    assert set(folded) == {receipt.pair for receipt in given_receipts}
    for pair, kept in folded.items():
        same = [r for r in given_receipts if r.pair == pair]
        outputs = [r for r in same if r.failure is None]
        assert (kept.failure is None) == bool(outputs)
        assert kept.finished_at == max(r.finished_at for r in outputs or same)


@pytest.mark.parametrize(
    ("recorded_at", "is_fresh"),
    [
        pytest.param(None, True, id="not recorded"),
        pytest.param(1.999999, True, id="recorded before"),
        pytest.param(2.0, False, id="recorded at the same time: it is the record"),
        pytest.param(2.000001, False, id="recorded after"),
    ],
)
def test_only_what_is_newer_than_the_ledger_is_recorded(recorded_at: float | None, is_fresh: bool):
    known = {} if recorded_at is None else {"one": Record(True, False, timestamp=recorded_at)}

    fresh = unrecorded(fold([good(2.0)]), {"mel": known, "features": {"one": Record(True, False)}})

    assert fresh == ([good(2.0)] if is_fresh else [])


@pytest.mark.parametrize(
    ("seen", "is_fresh"),
    [
        pytest.param(7, True, id="recorded before the work began"),
        pytest.param(6, False, id="recorded since: by this work, or by one that computed it again"),
    ],
)
def test_what_was_finished_after_the_clock_was_set_back_is_recorded(seen: int, is_fresh: bool):
    known = Record(True, False, timestamp=3602.0, event_id=7)

    fresh = unrecorded(fold([good(2.0)]), {"mel": {"one": known}}, seen)

    assert fresh == ([good(2.0)] if is_fresh else [])


def test_receipts_are_recorded_in_the_order_they_finished():
    given_receipts = [good(3.0), good(1.0, "two"), good(1.0, "two", "features"), good(2.0, "six")]

    fresh = unrecorded(fold(given_receipts), {})

    assert [(r.finished_at, r.asset) for r in fresh] == [
        (1.0, "features"),
        (1.0, "mel"),
        (2.0, "mel"),
        (3.0, "mel"),
    ]


BEFORE = Record(True, False, "c1", "d1", {"recording": "r1"}, 1.0, storage_id=7)


def test_a_good_receipt_becomes_the_record():
    assert as_record(good(2.0), BEFORE) == Record(
        True, False, "c2", "d2", {"recording": "r2"}, 2.0, storage_id=None
    )
    assert as_record(good(2.0), None) == as_record(good(2.0), BEFORE._replace(failed=True))


def test_a_failed_attempt_keeps_what_was_materialised_before():
    known = as_record(failed(2.0), BEFORE)

    assert known._replace(attempt=None) == BEFORE._replace(failed=True, timestamp=2.0)


def test_a_failed_attempt_says_what_it_was_made_with():
    receipt = replace(failed(2.0), code_version="c2", inputs={"source": "s2"})

    known = as_record(receipt, BEFORE)

    assert known.attempt is not None
    assert (known.attempt.code_version, known.attempt.input_versions) == ("c2", {"source": "s2"})
    assert known.code_version == BEFORE.code_version
    assert as_record(good(3.0), known).attempt is None


def test_a_first_attempt_that_failed_materialised_nothing():
    assert as_record(failed(2.0), None)._replace(attempt=None) == Record(
        False, True, None, None, NO_VERSIONS, 2.0, storage_id=None
    )


def test_a_part_file_cut_at_any_byte_gives_the_receipts_that_were_whole():
    lines = [good(1.0).to_line(), failed(2.0).to_line(), good(3.0).to_line()]
    data = b"".join(lines)
    ends = [sum(map(len, lines[: n + 1])) for n in range(3)]

    for cut in range(len(data) + 1):
        receipts_read, unread = read_lines(data[:cut])
        whole = sum(end <= cut for end in ends)
        assert [r.finished_at for r in receipts_read] == [1.0, 2.0, 3.0][:whole]
        assert unread == cut - ([0, *ends][whole])


def test_the_rest_of_a_part_file_is_read_when_it_has_come():
    data = good(1.0).to_line() + good(2.0).to_line()

    for cut in range(len(data)):
        first = read_lines(data[:cut])
        rest = read_lines(data[cut - first.unread :])
        assert [*first.receipts, *rest.receipts] == [good(1.0), good(2.0)]


@pytest.mark.parametrize(
    "torn",
    [
        pytest.param(good(1.0).to_line()[:40] + b"\n", id="a line of its own"),
        pytest.param(good(1.0).to_line()[:40] + good(2.0).to_line(), id="joined with the next"),
        pytest.param(b"\n\n", id="empty lines"),
        pytest.param(b"\xff\xfe\n", id="no text"),
    ],
)
def test_a_torn_line_does_not_hide_the_lines_after_it(torn: bytes):
    data = good(0.5).to_line() + torn + good(3.0).to_line()

    assert read_lines(data) == ([good(0.5), good(3.0)], 0)
