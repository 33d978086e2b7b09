"""The names of a large folder, read in many places at once: each of them, once."""

import threading
import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klio_dagster.store import store as store_module
from klio_dagster.store.listing import Page, UnorderedError, side_by_side
from klio_dagster.store.objects import ObjectInfo
from tests.services.buckets import Bucket

NOW = datetime(2026, 1, 1, tzinfo=UTC)
names = st.text(
    st.sampled_from("09AZ_az-./%+ ~\u00fc\U0001f3b5") | st.characters(codec="utf-8"), min_size=1
)
numbers = st.integers(0, 10_000).map("track-{}.flac".format)


class Shelf:
    """A bucket with a folder of these names, in this order."""

    def __init__(self, found: Sequence[str], page: int, takes_s: float = 0.0) -> None:
        self.found, self.page, self.takes_s = found, page, takes_s
        self.told = 0

    def pages(self, after: str | None) -> Iterator[Page]:
        begin = 0 if after is None else bisect_right(self.found, after)
        for start in range(begin, len(self.found), self.page):
            time.sleep(self.takes_s)
            self.told += 1
            part = self.found[start : start + self.page]
            yield [ObjectInfo(name, 1, NOW) for name in part]


@given(st.sets(names | numbers, max_size=80), st.integers(1, 7))
def test_each_name_is_told_once_whatever_names_there_are(found: set[str], page: int):
    shelf = Shelf(sorted(f"in/{name}" for name in found), page)

    told = [info.path for info in side_by_side(shelf.pages, "in/", page)]

    assert sorted(told) == shelf.found


@pytest.mark.parametrize(
    "found",
    [
        [f"in/track-{n:06}.flac" for n in range(10_000)],
        [f"in/entity-{n}.txt" for n in range(10_000)],
        [f"in/{n * 7919 % 65536:04x}.wav" for n in range(10_000)],
        [f"in/{n // 100:03}/{n % 100:03}.wav" for n in range(10_000)],
    ],
    ids=["numbers", "plain numbers", "hashes", "folders"],
)
def test_a_large_folder_is_read_in_several_places_at_once(found: list[str]):
    shelf = Shelf(sorted(found), 100, takes_s=0.01)
    started = time.monotonic()

    told = [info.path for info in side_by_side(shelf.pages, "in/", 100)]

    assert sorted(told) == shelf.found
    assert time.monotonic() - started < 0.75  # one after the other: 1.0 s
    assert shelf.told < 300  # of a hundred pages


def test_pages_nobody_has_looked_at_yet_are_few():
    shelf = Shelf([f"in/{n:06}" for n in range(20_000)], 100)
    ahead: list[int] = []

    for number, _ in enumerate(side_by_side(shelf.pages, "in/", 100)):
        if number % 100 == 0:
            time.sleep(0.001)
            ahead.append(shelf.told - number // 100)

    # Of a place's last page a part is of the next place: so told are some more than were seen.
    assert shelf.told < 500
    assert max(ahead[:50]) < 60


def test_who_has_seen_enough_leaves_no_thread_behind():
    shelf = Shelf([f"in/{n:06}" for n in range(5000)], 100)
    before = threading.active_count()
    found = side_by_side(shelf.pages, "in/", 100)

    assert [next(found).path for _ in range(150)]
    found.close()

    assert threading.active_count() == before


def test_a_bucket_without_an_order_is_read_from_its_beginning_or_refused():
    backwards = [f"in/{n:04}" for n in range(1000)][::-1]

    def shuffled_later(after: str | None) -> Iterator[Page]:
        yield from list(Shelf(backwards[::-1], 100).pages(after))[:1]
        yield from Shelf(backwards, 100).pages(after)

    told = [info.path for info in side_by_side(Shelf(backwards, 100).pages, "in/", 100)]

    assert told == backwards
    with pytest.raises(UnorderedError):
        list(side_by_side(shuffled_later, "in/", 100))


def test_a_bucket_is_listed_like_that(bucket: Bucket, monkeypatch: pytest.MonkeyPatch):
    store = bucket.store()
    found = [f"in/track {n}%2F-\u00fc+{n % 7}.flac" for n in range(150)]
    found += [f"in/{n // 30}/entity-{n}.txt" for n in range(300)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda name: store.put(name, b""), [*found, "in.txt", "inn/a"]))
    monkeypatch.setattr(store_module, "PAGE_NAMES", 20)
    monkeypatch.setattr(side_by_side, "__defaults__", (20,))

    assert sorted(info.path for info in store.list("in/")) == sorted(found)
    assert len(list(store.list())) == len(found) + 2
