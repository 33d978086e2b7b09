"""A receipt survives its line, and nothing else is taken for one."""

import json
from dataclasses import replace

import pytest
from hypothesis import given

from klio_dagster.core.receipt import UPSTREAM_FAILED, Failure, Receipt
from tests.strategies import receipts

GOOD = Receipt(
    run="run",
    entity="Ärger 🎧",
    asset="audio/mel",
    uri="file:///data/audio/mel/x.npy",
    size=9,
    data_version="d",
    code_version="c",
    inputs={"tracks": "v"},
    started_at=1.0,
    finished_at=2.000001,
    figures={"waveform": b"\x89PNG\n\0"},
    metadata={"seconds": 1.5, "title": "é"},
)
FAILED = replace(GOOD, failure=Failure("ValueError", "no sound"))


@given(receipts())
def test_a_receipt_is_read_back_as_it_was_written(receipt: Receipt):
    line = receipt.to_line()

    assert Receipt.from_line(line) == receipt
    assert Receipt.from_line(line.decode()) == receipt


@given(receipts())
def test_a_receipt_is_one_line_whatever_the_user_put_into_it(receipt: Receipt):
    line = receipt.to_line()

    assert line.isascii()
    assert line.splitlines(keepends=True) == [line]
    assert line.endswith(b"\n")


@pytest.mark.parametrize("receipt", [GOOD, FAILED], ids=["good", "failed"])
def test_a_line_cut_at_any_byte_is_no_receipt(receipt: Receipt):
    line = receipt.to_line().rstrip()

    for end in range(len(line)):
        with pytest.raises(ValueError, match=r".+"):
            Receipt.from_line(line[:end])


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"[]", id="a list"),
        pytest.param(b"null", id="null"),
        pytest.param(b'"text"', id="a text"),
        pytest.param(b"{}", id="no field"),
        pytest.param(b'{"v":1}', id="no field but the schema"),
        pytest.param(b"\xff\xfe", id="no UTF-8"),
        pytest.param(GOOD.to_line().replace(b"iVBORwoA", b"iVBORwo"), id="a figure that is torn"),
        pytest.param(GOOD.to_line() * 2, id="two lines"),
        pytest.param(
            FAILED.to_line().replace(b'"transient"', b'"color"'), id="an error with other fields"
        ),
    ],
)
def test_what_is_no_receipt_is_refused(line: bytes):
    with pytest.raises(ValueError, match=r".+"):
        Receipt.from_line(line)


def test_a_receipt_of_a_later_schema_is_refused_and_not_guessed():
    later = GOOD.to_line().replace(b'"v":1', b'"v":2')

    with pytest.raises(ValueError, match="receipt of schema 2, this version reads 1"):
        Receipt.from_line(later)


def test_a_failed_attempt_names_no_output():
    fields = json.loads(FAILED.to_line())

    assert fields["status"] == FAILED.status == "failed"
    assert not {"uri", "size", "data_version", "codec", "metadata", "figures"} & set(fields)
    assert Receipt.from_line(FAILED.to_line()).uri == ""


def test_a_good_attempt_has_no_error():
    assert json.loads(GOOD.to_line())["status"] == GOOD.status == "ok"
    assert "error" not in json.loads(GOOD.to_line())


def test_of_an_endless_traceback_the_end_is_kept():
    endless = Failure("RecursionError", "too deep", traceback="x" * 30_000 + "the last line")

    read = Receipt.from_line(replace(GOOD, failure=endless).to_line())

    assert read.failure is not None
    assert len(read.failure.traceback) == 20_000
    assert read.failure.traceback.endswith("the last line")


def test_an_attempt_that_was_not_made_is_told_from_one_that_failed():
    assert Failure(UPSTREAM_FAILED, "not computed because 'mel' failed").is_blocked
    assert not Failure("ValueError", "no sound").is_blocked
    assert str(Failure("ValueError", "no sound")) == "ValueError: no sound"
