"""What is written to a bucket is seen while the run is known to live, or never."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from klio_dagster.errors import StoreUnavailableError
from klio_dagster.store.claims import DEAD_AFTER_S, remove_claim
from klio_dagster.store.confirmed import ConfirmedStore
from klio_dagster.store.heartbeat import Confirmation
from klio_dagster.store.layout import claim_path
from klio_dagster.store.open_claim import WRITTEN_BY_S, open_claim
from klio_dagster.store.remote import PIECE_BYTES
from tests.services.buckets import Bucket
from tests.services.faults import Fault, FaultyProxy

DOWN = Fault(status=503, on="PUT")
LONG_S = 2.0  # in which a client that goes on would have asked again


@pytest.fixture
def proxy(bucket: Bucket) -> Iterator[FaultyProxy]:
    with FaultyProxy(bucket.endpoint) as proxy:
        yield proxy


@dataclass
class Clock:
    """Moves when told to."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def assert_nothing_more_comes(proxy: FaultyProxy, after: Callable[[], object]) -> None:
    with proxy.broken(DOWN):
        started = time.monotonic()
        with pytest.raises(StoreUnavailableError, match="not written within"):
            after()
        assert time.monotonic() - started < 10  # the store itself would be asked for 30 s
        time.sleep(0.3)  # what was on its way has come
    asked = proxy.count("PUT")
    time.sleep(LONG_S)
    assert proxy.count("PUT") == asked


def test_what_cannot_be_written_in_time_is_not_tried_any_more(bucket: Bucket, proxy: FaultyProxy):
    store = bucket.at(proxy.url).store()

    assert_nothing_more_comes(proxy, lambda: store.put_within("mel/a", b"x", lambda: 1.0))

    assert list(bucket.store().list()) == []


def test_who_is_still_confirmed_when_time_is_over_begins_anew(bucket: Bucket, proxy: FaultyProxy):
    store = bucket.at(proxy.url).store()
    proxy.latency_s = 0.1
    asked: list[float] = []

    def left_s() -> float:
        asked.append(time.monotonic())
        proxy.latency_s = 0.1 if len(asked) == 1 else 0.0
        return 0.05 if len(asked) == 1 else 30.0

    store.put_within("mel/a", b"x", left_s)

    assert len(asked) == 2
    assert bucket.store().get("mel/a") == b"x"


def test_of_a_large_file_the_moment_counts_at_which_it_can_be_seen(
    bucket: Bucket, proxy: FaultyProxy
):
    store = bucket.at(proxy.url).store()
    data = bytes(3 * PIECE_BYTES + 1000)
    uploaded: list[int] = []

    def over_when_it_is_uploaded() -> float:
        uploaded.append(proxy.count("PUT"))
        return 30.0 if len(uploaded) % 2 else 0.0

    with pytest.raises(StoreUnavailableError, match="not written within"):
        store.put_within("recording/a.wav", data, over_when_it_is_uploaded)
    time.sleep(LONG_S)
    assert uploaded[1] - uploaded[0] >= 2  # of five parts
    assert list(bucket.store().list()) == []

    store.put_within("recording/a.wav", data, lambda: 30.0)
    assert bucket.store().get("recording/a.wav") == data


def test_a_worker_confirmed_long_ago_has_stopped_before_others_take_over(
    bucket: Bucket, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
):
    clock = Clock()
    claim = open_claim(bucket.store(), "r1", assets=["mel"], monotonic=clock).claim
    store = bucket.at(proxy.url).store()
    confirmation = Confirmation(store, "r1", claim.generation, monotonic=clock)
    confirmation.look()
    clock.now += 29
    assert confirmation.is_fresh
    assert confirmation.left_s == pytest.approx(26)
    assert WRITTEN_BY_S + 1 < DEAD_AFTER_S
    monkeypatch.setattr("klio_dagster.store.heartbeat.WRITTEN_BY_S", 30.0)  # one second is left

    confirmed = ConfirmedStore(store, confirmation.wait)
    assert_nothing_more_comes(proxy, lambda: confirmed.put("mel/a", b"x"))

    assert list(bucket.store().list("mel/")) == []


def test_a_claim_that_was_taken_over_is_not_there_again(
    bucket: Bucket, proxy: FaultyProxy, monkeypatch: pytest.MonkeyPatch
):
    held = open_claim(bucket.at(proxy.url).store(), "r1", assets=["mel"])
    monkeypatch.setattr("klio_dagster.store.open_claim.WRITTEN_BY_S", 3.0)

    assert_nothing_more_comes(proxy, held.release)
    remove_claim(bucket.store(), "r1")

    assert not bucket.store().exists(claim_path("r1"))
