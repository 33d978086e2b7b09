"""Whether a store of outputs does what runs need."""

from collections.abc import Generator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from klio_dagster.observe.doctor.finding import About, Finding
from klio_dagster.observe.doctor.places import free_space, store_file_system
from klio_dagster.observe.doctor.trial import Measured, Trial
from klio_dagster.store.layout import DOCTOR_PREFIX
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


def _made_by(folder: Path) -> list[Path]:
    """The folders that the first write will make, the innermost first."""
    return [each for each in (folder, *folder.parents) if not each.exists()]
