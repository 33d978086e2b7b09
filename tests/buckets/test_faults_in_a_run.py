"""A run whose bucket breaks: nothing is torn or lost, and the reason is said."""

import json

import pytest

from klio_dagster.store.store import Store
from tests.buckets.bucket_catalogue import BucketCatalogue
from tests.flows.catalogue import Outcome, all_of, tracks
from tests.services.faults import Fault, FaultyProxy

QUICK = {"timeout": "2s", "max_retries": "2", "retry_timeout": "5"}
ASSETS = ("recording", "mel", "report")


def assert_nothing_is_torn_or_lost(catalogue: BucketCatalogue, direct: Store, names: list[str]):
    """Each output can be read; the next run brings everything to its end."""
    for asset in ASSETS:
        for info in direct.list(f"{asset}/"):
            json.loads(direct.get(info.path))

    again = catalogue.run(tracks())

    assert again.success, again.error
    for asset in ASSETS:
        assert catalogue.materialized(asset) == set(names)
        assert len(list(direct.list(f"{asset}/"))) == len(names)
    assert list(direct.list("_klio/open/")) == []


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=429, every=3),
        Fault(status=500, every=3),
        Fault(status=503, every=3),
        Fault(on="GET", cut_at=3, every=2, where="tracks/"),
        Fault(on="GET", bytes_per_s=20, where="tracks/track-0001"),
        Fault(on="PUT", is_lost=True, every=2, where="mel/|receipts/"),
        Fault(on="GET", delay_s=3.0, times=2, where="tracks/"),
        Fault(on="GET", cut_at=90, every=2, where="list-type=2"),
    ],
    ids=["429", "500", "503", "cut", "slow", "lost answers", "late", "lost pages"],
)
def test_a_run_gets_over_what_passes(
    catalogue: BucketCatalogue, direct: Store, proxy: FaultyProxy, fault: Fault
):
    names = catalogue.fill(8)
    catalogue.options |= {**QUICK, "max_retries": "8", "retry_timeout": "20"}

    with proxy.broken(fault):
        done = catalogue.run(tracks())

    assert fault.met > 0
    assert done.counts("materialized") == all_of(8), done.error
    assert_nothing_is_torn_or_lost(catalogue, direct, names)


def test_a_recording_that_cannot_be_read_fails_alone_and_says_why(
    catalogue: BucketCatalogue, direct: Store, proxy: FaultyProxy
):
    names = catalogue.fill(8)
    catalogue.options |= QUICK

    with proxy.broken(Fault(status=503, on="GET", where="tracks/track-0003")):
        done = catalogue.run(tracks())

    assert done.counts("materialized") == all_of(7), done.error
    assert set(done.failures) == {("track-0003", "recording")}
    assert "503" in done.failures["track-0003", "recording"]
    assert_nothing_is_torn_or_lost(catalogue, direct, names)


@pytest.mark.parametrize(
    "fault, said",
    [
        (Fault(status=403, on="PUT", where="/(mel|report)/"), "403"),
        (Fault(status=401, on="PUT", where="/receipts/"), "401"),
        (Fault(status=503, on="PUT", where="/receipts/"), "503"),
        (Fault(status=500, on="GET", where="manifest"), "500"),
        (Fault(status=500, on="GET", where="list-type=2.*_klio/open"), "500"),
    ],
    ids=["outputs closed", "receipts closed", "receipts down", "manifest down", "no pages"],
)
def test_a_run_that_cannot_go_on_ends_with_one_line_and_the_next_one_goes_on(
    catalogue: BucketCatalogue, direct: Store, proxy: FaultyProxy, fault: Fault, said: str
):
    names = catalogue.fill(8)
    catalogue.options |= QUICK

    with proxy.broken(fault):
        done = catalogue.run(tracks())

    assert not done.success
    assert said in _last_line(done), done.error
    assert "Traceback" not in _last_line(done)
    assert_nothing_is_torn_or_lost(catalogue, direct, names)


@pytest.mark.parametrize(
    ("on", "asked"),
    [
        pytest.param("GET", 1, id="while it reads"),
        pytest.param("GET HEAD", 2, id="before it reads: an answer to HEAD has no words"),
    ],
)
def test_a_worker_whose_session_expires_ends_its_run_with_one_line_that_says_so(
    catalogue: BucketCatalogue, direct: Store, proxy: FaultyProxy, on: str, asked: int
):
    names = catalogue.fill(8)
    catalogue.options |= QUICK
    expired = Fault(status=400, code="ExpiredToken", on=on, where=r"tracks/track-0003\.txt")

    with proxy.broken(expired):
        done = catalogue.run(tracks())

    assert expired.met == asked, "it does not help to try again"
    assert not done.success
    (line,) = [line for line in done.error.splitlines() if "ExpiredToken" in line]
    assert "log in again" in line
    assert "<" not in line
    assert_nothing_is_torn_or_lost(catalogue, direct, names)


def _last_line(done: Outcome) -> str:
    return done.error.strip().splitlines()[0] + str(done.failures if done.summary else "")
