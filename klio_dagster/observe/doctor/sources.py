"""Whether the sources of entities can be listed and read, and whether there are any."""

import time
from collections.abc import Generator, Sequence
from itertools import islice
from pathlib import Path
from statistics import median

from klio_dagster.core.wording import counted
from klio_dagster.observe.doctor.finding import About, Finding
from klio_dagster.observe.doctor.stores import quickly
from klio_dagster.observe.doctor.trial import TIMES, Trial, speed
from klio_dagster.store.failures import store_error
from klio_dagster.store.layout import OWN_FOLDER
from klio_dagster.store.sources import SourcePattern
from klio_dagster.store.store import Store

_LOOKED_AT = 1000  # names: what a bucket answers per request


def place_of(store: Store, pattern: SourcePattern) -> str:
    """The folder that is listed for a pattern: in the store, or elsewhere."""
    return pattern.root or store.uri(pattern.prefix).rstrip("/")


def look_at_sources(store: Store, patterns: Sequence[SourcePattern]) -> Generator[Finding]:
    """What lies in a folder of sources; nothing is written there.

    Args:
        store: where the patterns are looked for, or what their location is opened from.
        patterns: at least one, all of the same folder.

    Raises:
        KlioError: the options of that place are wrong, or something unexpected went wrong there.
    """
    root, prefix = patterns[0].root, patterns[0].prefix
    about = About("source", place_of(store, patterns[0]))
    opened = quickly(store.elsewhere(root) if root else store)
    trial = Trial(opened, about)
    listed = trial.of("list", lambda: list(islice(opened.list(prefix), _LOOKED_AT)))
    yield listed.finding
    if listed.value is None:
        return
    names = [each.path for each in listed.value if not each.path.startswith(f"{OWN_FOLDER}/")]
    is_all = len(listed.value) < _LOOKED_AT
    firsts = [next(filter(pattern.is_source, names), None) for pattern in patterns]
    for pattern, first in zip(patterns, firsts, strict=True):
        if first is None:
            yield _without(about, pattern, names, is_all=is_all)
    path = next(filter(None, firsts), None)
    if path is None:
        return

    def read() -> float:
        started = time.perf_counter()
        opened.head(path)
        file = opened.local_path(path)
        if file is not None:
            _read_some(file)
        return time.perf_counter() - started

    found = trial.of("read", read)
    yield found.finding
    if found.value is not None and root:  # the store's own speed was measured
        times = [found.value, *(read() for _ in range(TIMES - 1))]
        yield speed(about, {"look": median(times)})


def _without(
    about: About, pattern: SourcePattern, names: Sequence[str], *, is_all: bool
) -> Finding:
    """What to say of a pattern that no name matched."""
    if not names:
        said = f"nothing lies there for '{pattern.text}'"
        return about.warn("read", said, "put recordings there, or correct the pattern")
    if not is_all and not pattern.root and not pattern.prefix:
        said = f"'{pattern.text}' is none of the first {len(names):,} files; outputs are among them"
        return about.ok("read", f"{said}, so klio entities sync says more")
    files = counted(len(names), "file")
    said = f"'{pattern.text}' matches none of the {'' if is_all else 'first '}{files} there"
    return about.warn("read", f"{said}, {min(names)!r} for one", "correct the pattern")


def _read_some(file: Path) -> None:
    try:
        with file.open("rb") as opened:
            opened.read(1)
    except OSError as error:
        raise store_error(error, str(file)) from error
