"""What a store lets us do, tried with small objects that are removed again."""

import re
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from statistics import median
from typing import Generic, TypeVar
from uuid import uuid4

from klio_dagster.errors import KlioError, ObjectNotFoundError, StoreForbiddenError, StoreLoginError
from klio_dagster.observe.doctor.finding import About, Finding
from klio_dagster.observe.doctor.permissions import needed
from klio_dagster.store.layout import DOCTOR_PREFIX, doctor_path
from klio_dagster.store.objects import ObjectInfo
from klio_dagster.store.store import Store

T = TypeVar("T")

SLOW_S = 0.2
CLOCK_S = 5.0
TIMES = 5
"""A time is the median of so many."""

_OLD_S = 3600.0
_NOT_FOUND = "status code: 404"
_NO_SUCH_REQUEST = re.compile(r"status code: (400|405|501)")
_HONOURS = "use a server that honours `If-None-Match: *`"


class Measured:
    """What was learnt of a store on the way, for the checks after it."""

    def __init__(self) -> None:
        self.ahead_s: float | None = None
        """How much later its clock is than ours, in seconds; None until that is known."""


@dataclass(frozen=True, slots=True)
class Step(Generic[T]):
    """What became of one thing that was tried.

    Args:
        finding: for people.
        value: what it gave; None if it failed.
        is_down: nothing else will work either.
        error: why it failed.
    """

    finding: Finding
    value: T | None = None
    is_down: bool = False
    error: KlioError | None = None


class Trial:
    """Objects of ours in a store, for a moment.

    Args:
        store: to be tried.
        about: the same, for people.
    """

    def __init__(self, store: Store, about: About) -> None:
        self._store = store
        self._about = about
        self._id = uuid4().hex[:12]
        self._made: list[str] = []

    def of(self, what: str, do: Callable[[], T]) -> Step[T]:
        """Try something."""
        about = self._about
        try:
            value = do()
        except StoreLoginError as error:
            return Step(about.failed(what, error), is_down=True, error=error)
        except StoreForbiddenError as error:
            remedy = needed(self._store.url, what) or error.fix
            return Step(about.fail(what, f"not permitted: {error.what}", remedy), error=error)
        except KlioError as error:
            return Step(_not_there(about, what, error), is_down=True, error=error)
        return Step(about.ok(what), value)

    def writes(self, measured: Measured) -> Generator[Finding]:
        """Write, read, replace and remove objects."""
        store, about, path = self._store, self._about, self._path("one")
        created = self.of("create", lambda: _timed(lambda: store.put(path, b"one\n")))
        yield created.finding
        if created.value is None:
            return
        read = self.of("read", lambda: store.get(path))
        yield self._as_written(read, b"one\n")
        yield self._created_once(path)
        replaced = self.of("overwrite", lambda: _timed(lambda: store.put(path, b"another\n")))
        if replaced.value is not None:
            seen = self.of("overwrite", lambda: store.get(path))
            yield self._as_written(seen, b"another\n")
        else:
            yield replaced.finding
        head = self.of("read", lambda: store.head(path))
        at = replaced.value or created.value
        if head.value is not None:
            ahead_s = head.value.modified.timestamp() - at
            measured.ahead_s = ahead_s
            yield _clock(about, ahead_s)
        found = self.of("list", lambda: [each.path for each in store.list(DOCTOR_PREFIX)])
        if found.value is not None and path not in found.value:
            said = "what was just written is not listed: a run may miss the claim of another"
            yield about.fail("list", said, "use a store that lists what was written at once")
        yield self._round_trips(path)
        yield self._deleted(path)

    def clean_up(self, forgotten: Iterable[ObjectInfo], ahead_s: float) -> None:
        """Remove what we wrote, and what a doctor who was killed once left."""
        long_ago = time.time() + ahead_s - _OLD_S
        old = [each.path for each in forgotten if each.modified.timestamp() < long_ago]
        for path in (*self._made, *old):
            with suppress(KlioError):  # that it cannot was said
                self._store.delete(path)

    def _path(self, name: str) -> str:
        self._made.append(doctor_path(self._id, name))
        return self._made[-1]

    def _as_written(self, read: Step[bytes], wanted: bytes) -> Finding:
        if read.value in (None, wanted):
            return read.finding
        said = "what is read is not what was written last"
        remedy = "use a store that gives the newest content, without a cache before it"
        return self._about.fail(read.finding.what, said, remedy)

    def _created_once(self, path: str) -> Finding:
        """Claims rest on it: what is there is not created again, and what is not there is."""
        what, rival = "create once", self._path("rival")
        again = self.of(what, lambda: self._store.put_if_absent(path, b"rival\n"))
        if again.value:
            said = "an object was created that was there already"
            return self._about.fail(what, said, f"{_HONOURS}: without, two runs take one entity")
        # An answer may get lost: who then asks again is refused, for it is there.
        fresh = self.of(
            what, lambda: self._store.put_if_absent(rival, b"rival\n") or self._store.exists(rival)
        )
        for step in (again, fresh):
            if step.error and _knows_no_conditions(step.error):
                remedy = f"{_HONOURS}: without, two runs take one entity"
                return self._about.fail(what, step.error.what, remedy)
            if step.value is None:
                return step.finding
        if not fresh.value:
            said = "a new object is refused as if it were there already"
            return self._about.fail(what, said, f"{_HONOURS}: without, no run can begin")
        return again.finding

    def _round_trips(self, path: str) -> Finding:
        paths = [self._path(f"round-trip-{number}") for number in range(TIMES)]

        def each() -> dict[str, float]:
            writes = [_passed(lambda at=at: self._store.put(at, b"\n")) for at in paths]
            looks = [_passed(lambda: self._store.head(path)) for _ in paths]
            return {"write": median(writes), "look": median(looks)}

        measured = self.of("speed", each)
        return measured.finding if measured.value is None else speed(self._about, measured.value)

    def _deleted(self, path: str) -> Finding:
        def delete() -> bool:
            self._store.delete(path)
            return self._store.exists(path)

        deleted = self.of("delete", delete)
        if deleted.value is None:
            said = f"{deleted.finding.said}; left behind: {len(self._made)} objects of a few bytes"
            where = self._store.uri(f"{DOCTOR_PREFIX}{self._id}/")
            return self._about.fail("delete", f"{said} below {where}", deleted.finding.remedy)
        if deleted.value:
            return self._about.fail(
                "delete", "what was removed is still there", "use a store without a cache before it"
            )
        return deleted.finding


def _not_there(about: About, what: str, error: KlioError) -> Finding:
    said = error.what
    # A listing says in a general error that there is nothing to list.
    is_missing = isinstance(error, ObjectNotFoundError) or _NOT_FOUND in said
    remedy = "create the bucket, or correct its name" if is_missing else error.fix
    return about.fail(what, said, remedy)


def _knows_no_conditions(error: KlioError) -> bool:
    """Of a server that has just taken the same without one."""
    is_answer = _NO_SUCH_REQUEST.search(error.what) is not None
    return is_answer and not isinstance(error, StoreLoginError)


def _clock(about: About, ahead_s: float) -> Finding:
    figures = {"clock_ahead_s": round(ahead_s, 3)}
    if abs(ahead_s) <= CLOCK_S:
        return about.ok("clock", "", **figures)
    direction = "ahead of" if ahead_s > 0 else "behind"
    said = (
        f"it is {abs(ahead_s):,.0f} s {direction} this machine: claims do not mind, but times in"
        " receipts are by the store, those of Dagster by this machine"
    )
    return about.warn("clock", said, "have both set their clocks by NTP", **figures)


def speed(about: About, medians_s: Mapping[str, float]) -> Finding:
    """Whether a store answers in time.

    Args:
        about: the store.
        medians_s: what is done there, to how many seconds it takes.
    """
    figures = {f"{name}_ms": round(seconds * 1000, 2) for name, seconds in medians_s.items()}
    times = ", ".join(f"{name} {seconds * 1000:,.1f} ms" for name, seconds in medians_s.items())
    said = f"{times} (median of {TIMES})"
    if max(medians_s.values()) <= SLOW_S:
        return about.ok("speed", said, **figures)
    remedy = "run where the store is: the same region, the same network"
    return about.warn("speed", said, remedy, **figures)


def _passed(do: Callable[[], object]) -> float:
    started = time.perf_counter()
    do()
    return time.perf_counter() - started


def _timed(do: Callable[[], object]) -> float:
    """Do it; when that was by this machine's clock, in the middle."""
    before = time.time()
    do()
    return (before + time.time()) / 2
