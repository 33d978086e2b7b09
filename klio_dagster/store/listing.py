"""The names of a large folder in a bucket, read in many places at once.

A bucket tells a thousand names a request, in their order, and each request names where the next one
begins. But it may be asked for the names after any text, too. So what is left behind a full page is
divided where the last name could go on differently: after `track-002999` at `track-01`, `track-1`,
`track0`, ... A place where nothing lies costs a request; one where much lies is divided again,
after some pages.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import pairwise

from klio_dagster.store.objects import ObjectInfo

Page = Sequence[ObjectInfo]
Pages = Callable[[str | None], Iterator[Page]]
"""The pages of the names after a text, in order; from the beginning for None."""

PAGE_NAMES = 1000  # what GCS and S3 answer per request
_NOTHING: Page = ()
_AT_ONCE = 8
_READ_BEFORE = 3  # pages; where fewer lie, a place of their own gains nothing
_MOST_PLACES = 12
# Nothing that acts as path syntax or that a library may escape on its way.
_NEXT = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
_KEPT = frozenset(_NEXT + "-./")


@dataclass(slots=True)
class _Part:
    """Names after one text, up to and including another.

    Args:
        pages: what is left of them.
        last: the one that was read last, or that they come after.
        end: the last they may be; None where there is no end.
        first: name since it was divided.
        read: full pages since then.
    """

    pages: Iterator[Page]
    last: str
    end: str | None
    first: str = ""
    read: int = 0


class UnorderedError(ValueError):
    """A bucket tells its names in no order."""


def side_by_side(pages: Pages, folder: str, page_names: int = PAGE_NAMES) -> Generator[ObjectInfo]:
    """All names, each once; a page is held in memory for each of the requests at once.

    Args:
        pages: asks the bucket; called from other threads.
        folder: that all names begin with, with its slash, or empty.
        page_names: how many a full page has.

    Raises:
        UnorderedError: names come in no order, and some were told already.
    """
    part = _Part(pages(None), "", None)
    page = next(part.pages, _NOTHING)
    if len(page) < page_names or not _is_ordered(page, ""):
        yield from page
        for others in part.pages:
            yield from others
        return
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        running: dict[Future[Page | None], _Part] = {}
        while True:
            is_over = part.end is not None and page[-1].path >= part.end
            if len(page) == page_names and not is_over:
                part.first = part.first if part.read else page[0].path
                part.read, part.last = part.read + 1, page[-1].path
                is_large = part.read >= _READ_BEFORE and len(running) < _AT_ONCE
                parts = _divided(part, pages, folder) if is_large else [part]
                running |= {threads.submit(next, each.pages, None): each for each in parts}
            yield from _of_part(page, part.end) if is_over else page
            page = _NOTHING
            while not page:
                if not running:
                    return
                done = next(iter(wait(running, return_when=FIRST_COMPLETED).done))
                part, page = running.pop(done), done.result() or _NOTHING
            if not _is_ordered(page, part.last):
                raise UnorderedError("its names come in no order")


def _divided(part: _Part, pages: Pages, folder: str) -> list[_Part]:
    """The part that goes on behind what was read, ending earlier, and others behind it."""
    places = [
        place
        for place in _places(part.first, part.last, len(folder))
        if part.end is None or place < part.end
    ]
    ends = [*places[1:], part.end] if places else []
    others = [_Part(pages(at), at, end) for at, end in zip(places, ends, strict=True)]
    if places:
        part.end, part.read = places[0], 0
    return [part, *others]


def _places(first: str, last: str, begin: int) -> list[str]:
    """Where names behind some pages may go on, in their order, each far behind the one before.

    Args:
        first: name on these pages.
        last: name on these pages.
        begin: how many characters all names begin with.
    """
    differ = next((i for i, each in enumerate(last) if first[i : i + 1] != each), len(last))
    kept = next((i for i, each in enumerate(last) if each not in _KEPT), len(last))
    found: list[str] = []
    for i in range(min(differ, kept) - 1, begin - 1, -1):
        following = next((each for each in _NEXT if each > last[i]), None)
        if following is not None and len(found) < _MOST_PLACES:
            found.append(last[:i] + following)
    return found


def _of_part(page: Page, end: str | None) -> Page:
    return [info for info in page if end is None or info.path <= end]


def _is_ordered(page: Page, after: str) -> bool:
    names = [after, *(info.path for info in page)]
    return all(one < other for one, other in pairwise(names))
