"""Whether the stores do what runs need: the one of outputs, and those that sources lie in."""

import time
from collections.abc import Generator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from statistics import median

from klio_dagster.observe.doctor.finding import About, Finding
from klio_dagster.observe.doctor.places import free_space, store_file_system
from klio_dagster.observe.doctor.trial import TIMES, Measured, Trial, speed
from klio_dagster.store.failures import store_error
from klio_dagster.store.layout import DOCTOR_PREFIX
from klio_dagster.store.sources import SourcePattern
from klio_dagster.store.store import Store

# A store that does not answer is told of soon; runs are more patient.
QUICKLY = {"timeout": "5s", "max_retries": "3", "retry_timeout": "5"}

_MOST_FORGOTTEN = 100
_IN_ONE_PROCESS = "memory://"


def quickly(store: Store) -> Store:
    """The same store, that gives up soon where nobody answers.

    Raises:
        ConfigError: its options are wrong.
    """
    if store.local_path("") is not None:
        return store
    return Store.open(store.url, options={**store.options, **QUICKLY}, access=store.access)


def look_at_store(opened: Store, measured: Measured) -> Generator[Finding, None, bool]:
    """What the store of outputs lets us do, how fast, and what time it is there.

    Args:
        opened: the store.
        measured: is filled.

    Returns:
        Whether it answers at all.

    Raises:
        KlioError: something unexpected went wrong with the store.
    """
    about = About("store", opened.url)
    if opened.url == _IN_ONE_PROCESS:
        said = "each process has one of its own, so a run loses what its workers compute"
        yield about.fail("kind", said, "use a folder or a bucket; it is for tests")
        return False
    store = quickly(opened)
    folder = store.local_path("")
    trial = Trial(store, about)
    if folder is not None:
        yield store_file_system(about, folder)
        yield free_space(about, folder)
    listed = trial.of("list", lambda: list(islice(store.list(DOCTOR_PREFIX), _MOST_FORGOTTEN)))
    yield listed.finding
    if listed.is_down:  # the rest would only wait as long
        return False
    made = _made_by(folder) if folder is not None else []
    try:
        yield from trial.writes(measured)
    finally:
        trial.clean_up(listed.value or (), measured.ahead_s or 0.0)
        for each in made:
            with suppress(OSError):  # it is somebody's by now
                each.rmdir()
    return True


def look_at_source(store: Store, pattern: SourcePattern) -> Generator[Finding]:
    """Whether sources that lie elsewhere can be listed and read; nothing is written there.

    Args:
        store: what the pattern's location is opened from.
        pattern: with a root.

    Raises:
        KlioError: its options are wrong, or something unexpected went wrong there.
    """
    about = About("source", pattern.root)
    elsewhere = quickly(store.elsewhere(pattern.root))
    trial = Trial(elsewhere, about)
    listed = trial.of("list", lambda: list(islice(elsewhere.list(pattern.prefix), 1)))
    yield listed.finding
    if listed.value is None:
        return
    if not listed.value:
        said = f"nothing lies there for '{pattern.text}'"
        yield about.warn("read", said, "correct the pattern, or put recordings there")
        return
    path = listed.value[0].path

    def read() -> float:
        started = time.perf_counter()
        elsewhere.head(path)
        file = elsewhere.local_path(path)
        if file is not None:
            _read_some(file)
        return time.perf_counter() - started

    found = trial.of("read", read)
    yield found.finding
    if found.value is not None:
        times = [found.value, *(read() for _ in range(TIMES - 1))]
        yield speed(about, {"look": median(times)})


def _read_some(file: Path) -> None:
    try:
        with file.open("rb") as opened:
            opened.read(1)
    except OSError as error:
        raise store_error(error, str(file)) from error


def _made_by(folder: Path) -> list[Path]:
    """The folders that the first write will make, the innermost first."""
    return [each for each in (folder, *folder.parents) if not each.exists()]
