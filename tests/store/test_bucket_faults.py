"""A bucket's server that breaks: it is asked again, a bounded number of times, and says why."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random

import pytest

from klio_dagster.errors import EntitiesInFlightError, StoreForbiddenError, StoreUnavailableError
from klio_dagster.store.claims import read_claims
from klio_dagster.store.open_claim import open_claim
from klio_dagster.store.remote import PIECE_BYTES
from klio_dagster.store.settling import settling
from tests.services.buckets import Bucket
from tests.services.faults import Fault, FaultyProxy

QUICK = {"timeout": "2s", "max_retries": "3", "retry_timeout": "20"}


@pytest.fixture
def proxy(bucket: Bucket) -> Iterator[FaultyProxy]:
    with FaultyProxy(bucket.endpoint) as proxy:
        yield proxy


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_is_busy_for_a_moment_is_asked_again(
    bucket: Bucket, proxy: FaultyProxy, status: int
):
    store = bucket.at(proxy.url).store(**QUICK)

    with proxy.broken(Fault(status=status, times=2)) as (fault,):
        store.put("mel/a.npy", b"one")
        fault.met = 0
        assert store.get("mel/a.npy") == b"one"
        fault.met = 0
        assert [info.path for info in store.list()] == ["mel/a.npy"]
        fault.met = 0
        assert store.head("mel/a.npy").size == 3

    assert fault.met == 2


def test_a_server_that_stays_down_is_given_up_with_one_line(bucket: Bucket, proxy: FaultyProxy):
    store = bucket.at(proxy.url).store(**QUICK)

    with (
        proxy.broken(Fault(status=503)) as (fault,),
        pytest.raises(StoreUnavailableError, match="503") as caught,
    ):
        store.get("mel/a.npy")

    assert fault.met == 4  # once, and three times more
    assert "\n" not in str(caught.value)
    assert caught.value.transient


@pytest.mark.parametrize("status", [401, 403])
def test_credentials_that_have_expired_are_not_tried_again(
    bucket: Bucket, proxy: FaultyProxy, status: int
):
    store = bucket.at(proxy.url).store(**QUICK)

    with proxy.broken(Fault(status=status)) as (fault,):
        for ask in (
            lambda: store.put("a", b"x"),
            lambda: store.get("a"),
            lambda: list(store.list()),
        ):
            with pytest.raises(StoreForbiddenError, match="credentials"):
                ask()

    assert fault.met == 3


@pytest.mark.parametrize("size", [1000, PIECE_BYTES + 1000], ids=["small", "in pieces"])
def test_an_answer_that_is_cut_off_is_read_to_its_end(
    bucket: Bucket, proxy: FaultyProxy, size: int
):
    data = Random(2).randbytes(size)
    bucket.store().put("recording/a.wav", data)
    store = bucket.at(proxy.url).store(**QUICK)

    with proxy.broken(Fault(on="GET", cut_at=500, times=2)) as (fault,):
        assert store.get("recording/a.wav") == data

    assert fault.met == 2


def test_an_answer_that_does_not_come_is_not_waited_for(bucket: Bucket, proxy: FaultyProxy):
    bucket.store().put("a", b"x")
    store = bucket.at(proxy.url).store(**{**QUICK, "timeout": "0.5s"})

    with proxy.broken(Fault(on="GET", delay_s=1.5, times=1)):
        assert store.get("a") == b"x"


def test_a_write_whose_answer_is_lost_is_written_whole(bucket: Bucket, proxy: FaultyProxy):
    store = bucket.at(proxy.url).store(**QUICK)

    with proxy.broken(Fault(on="PUT", is_lost=True, times=1)):
        store.put("a", b"x" * 1000)

    assert bucket.store().get("a") == b"x" * 1000


def test_a_claim_whose_answer_is_lost_is_ours_when_the_second_try_finds_it_there(
    bucket: Bucket, proxy: FaultyProxy
):
    store = bucket.at(proxy.url).store(**QUICK)

    with proxy.broken(Fault(on="PUT", is_lost=True, times=1, where="claim.json")) as (fault,):
        held = open_claim(store, "r1", assets=["mel"])

    assert fault.met == 1
    held.beat()
    (state,) = read_claims(bucket.store())
    assert state.claim.generation == held.claim.generation
    with pytest.raises(EntitiesInFlightError):  # somebody else's is not
        open_claim(store, "r1", assets=["mel"])


def test_who_clears_away_and_hears_no_answer_does_not_take_itself_for_another(
    bucket: Bucket, proxy: FaultyProxy
):
    store = bucket.at(proxy.url).store(**QUICK)
    open_claim(store, "r1", assets=["mel"])

    with (
        proxy.broken(Fault(on="PUT", is_lost=True, times=1, where="settling")) as (fault,),
        settling(store, "r1") as is_ours,
    ):
        assert is_ours
    assert fault.met == 1


def test_a_large_write_that_fails_in_the_middle_leaves_nothing(bucket: Bucket, proxy: FaultyProxy):
    store = bucket.at(proxy.url).store(**QUICK)

    with (
        proxy.broken(Fault(status=503, on="PUT", after=1)),
        pytest.raises(StoreUnavailableError),
    ):
        store.put("recording/a.wav", Random(3).randbytes(3 * PIECE_BYTES))

    assert list(bucket.store().list()) == []


def test_a_page_of_a_listing_that_is_lost_loses_no_name(bucket: Bucket, proxy: FaultyProxy):
    if bucket.scheme == "az":
        pytest.skip("a page of Azure's has 5,000 names")
    plain = bucket.store()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: plain.put(f"mel/{n}", b""), range(1050)))
    store = bucket.at(proxy.url).store(**QUICK)

    for lost in (Fault(status=503, on="GET", after=1, times=1), Fault(cut_at=90, after=1, times=1)):
        with proxy.broken(lost) as (fault,):
            assert len({info.path for info in store.list("mel/")}) == 1050
        assert fault.met == 1

    with (
        proxy.broken(Fault(status=500, on="GET", after=1)),
        pytest.raises(StoreUnavailableError),  # and no listing that is too short
    ):
        list(store.list("mel/"))


def test_a_page_of_a_listing_that_breaks_off_loses_no_name(bucket: Bucket, proxy: FaultyProxy):
    for number in range(3):
        bucket.store().put(f"mel/{number}", b"")
    store = bucket.at(proxy.url).store(**QUICK)

    with proxy.broken(Fault(on="GET", cut_at=90, times=3)) as (fault,):
        assert len(list(store.list("mel/"))) == 3
    assert fault.met == 3

    with proxy.broken(Fault(on="GET", cut_at=90)), pytest.raises(StoreUnavailableError):
        list(store.list("mel/"))


def test_how_long_a_store_is_asked_is_bounded_by_time(bucket: Bucket, proxy: FaultyProxy):
    store = bucket.at(proxy.url).store(max_retries="100", retry_timeout="1")
    started = time.monotonic()

    with proxy.broken(Fault(status=503)), pytest.raises(StoreUnavailableError):
        store.get("a")

    assert time.monotonic() - started < 10
