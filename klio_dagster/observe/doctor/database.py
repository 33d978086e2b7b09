"""Whether Dagster's storage answers, is writable and up to date, and whether its daemon works."""

from collections.abc import Collection, Generator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

import dagster as dg

from klio_dagster.core.wording import counted
from klio_dagster.ledger.internals import health
from klio_dagster.observe.doctor.finding import About, Finding
from klio_dagster.observe.doctor.places import file_system, free_space, is_shared

SLOW_S = 0.1
OLDEST, BEFORE = (1, 13), (2,)
"""The versions of Dagster that are tested: from the first, below the second."""

_TIMES = 5
_TICKS = {"sensor": "SENSOR", "schedule": "SCHEDULER"}  # kinds of Dagster's daemons
_GONE_AFTER_S = 300.0  # a daemon says every 30 s that it lives
_SETTINGS = "docs/reference/environment.md"
_POSTGRES = "docs/how-to/use-postgresql.md"
_NEVER_SET = "DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS"
_BATCH = "DAGSTER_EVENT_BATCH_SIZE"
_LEAST_BATCH = 100
_OURS = frozenset({"KlioSqliteEventLogStorage", "KlioPostgresEventLogStorage"})
_LIBRARY_OFFSET = 16  # dagster-postgres 0.29 is that of Dagster 1.13


def look_at_database(instance: dg.DagsterInstance, home: Path) -> Generator[Finding]:
    """What keeps the records: how fast, whether it may be written, whether it is up to date.

    Args:
        instance: Dagster's.
        home: DAGSTER_HOME.

    Raises:
        LedgerError: it did not answer.
    """
    kind = health.kind_of(instance)
    about = About("database", kind.database)
    yield _speed(about, median(health.round_trip_s(instance) for _ in range(_TIMES)))
    health.check_writable(instance)
    yield about.ok("write")
    yield _schema(about, health.schemas(instance))
    yield _storage(about, kind)
    if kind.is_on_disk:
        yield _disk(about, home)


def look_at_home(home: Path, environment: Mapping[str, str]) -> Generator[Finding]:
    """Whether Dagster's home and environment are as they should be.

    Args:
        home: DAGSTER_HOME.
        environment: of this process.

    Raises:
        OSError: nobody can tell how much room there is.
    """
    about = About("database", f"DAGSTER_HOME {home}")
    yield free_space(about, home)
    if not (home / "dagster.yaml").is_file():
        said = "there is no dagster.yaml in it: Dagster's defaults count, which are slow here"
        yield about.warn("settings", said, f"write one: {_SETTINGS}")
    else:
        yield about.ok("settings")
    if environment.get(_NEVER_SET):
        said = f"{_NEVER_SET} is set: failed entities are not shown failed in the UI"
        yield about.fail("environment", said, "unset it, here and for web server and daemon")
        return
    batch = environment.get(_BATCH, "")
    if not batch.isdecimal() or int(batch) < _LEAST_BATCH:
        said = f"{_BATCH} is {batch or 'not set'}: runs over long ranges start slowly"
        yield about.warn("environment", said, f"set {_BATCH}=1000, for the daemon as well")
    else:
        yield about.ok("environment")


def look_at_daemon(
    instance: dg.DagsterInstance, sensors_on: Collection[str], schedules_on: Collection[str]
) -> Generator[Finding]:
    """Whether Dagster's daemon works, where something needs it.

    Args:
        instance: Dagster's.
        sensors_on: names of the sensors that it is to tick.
        schedules_on: names of the schedules, the same.

    Raises:
        LedgerError: the storage did not answer.
    """
    about = About("database", "Dagster's daemon")
    beats = health.heartbeats(instance)
    alive = {kind: beat for kind, beat in beats.items() if beat.age_s < _GONE_AFTER_S}
    on = {"sensor": sensors_on, "schedule": schedules_on}
    waiting = {each: names for each, names in on.items() if names and _TICKS[each] not in alive}
    seen = [alive[kind].age_s for kind in _TICKS.values() if kind in alive]
    figures = {f"{each}s_on": len(names) for each, names in on.items()} | {"alive": len(alive)}
    broken = sorted(f"{kind}: {beat.error}" for kind, beat in alive.items() if beat.error)
    if broken:
        yield about.warn("works", broken[0], "see its log; it goes on by itself", **figures)
    elif waiting:
        what = "it does not run" if not seen else "a part of it does not run"
        who = " and ".join(counted(len(names), each) for each, names in waiting.items())
        named = ", ".join(name for names in waiting.values() for name in names)
        said = f"{what}, and {who} switched on wait for it ({named})"
        remedy = "start it: `klio dev`, or dagster-daemon run with the same DAGSTER_HOME"
        yield about.warn("works", said, remedy, **figures)
    elif seen:
        yield about.ok("works", f"seen {max(0.0, *seen):.0f} s ago", **figures)
    else:
        queue = "; runs that are queued wait for it" if health.has_run_queue(instance) else ""
        said = f"it does not run, and no sensor or schedule is on{queue}"
        yield about.ok("works", said, **figures)


def look_at_versions(versions: Mapping[str, str] | None = None) -> Generator[Finding]:
    """Whether the Dagster that is installed is one that is tested, and goes with its libraries.

    Args:
        versions: of `dagster` and of what belongs to it; those installed when None.
    """
    found = _installed() if versions is None else versions
    about = About("database", f"Dagster {found['dagster']}")
    ours = _numbers(found["dagster"])
    if not OLDEST <= ours < BEFORE:
        tested = f"{'.'.join(map(str, OLDEST))} to below {'.'.join(map(str, BEFORE))}"
        said = "it was not tested with this version"
        yield about.fail("version", said, f"install one that was: {tested}")
        return
    others = {
        name: text
        for name, text in found.items()
        if name != "dagster" and _as_dagster(_numbers(text)) != ours
    }
    if others:
        names = ", ".join(f"{name} {text}" for name, text in others.items())
        said = f"it does not go with {names}"
        yield about.warn("version", said, "install what was released together")
    else:
        yield about.ok("version", "", **found)


def _speed(about: About, took_s: float) -> Finding:
    figures = {"round_trip_ms": round(took_s * 1000, 2)}
    said = f"{took_s * 1000:,.1f} ms (median of {_TIMES})"
    if took_s <= SLOW_S:
        return about.ok("speed", said, **figures)
    remedy = "run where the database is; see that its disk is not busy"
    return about.warn("speed", said, remedy, **figures)


def _schema(about: About, parts: Collection[health.Part]) -> Finding:
    behind = [part.name for part in parts if part.revision != part.head]
    figures = {part.name.replace(" ", "_"): part.revision for part in parts}
    if not behind:
        return about.ok("schema", "", **figures)
    said = f"{' and '.join(behind)} have the schema of another Dagster"
    remedy = "stop what runs, make a copy, and call: dagster instance migrate"
    return about.warn("schema", said, remedy, **figures)


def _storage(about: About, kind: health.Kind) -> Finding:
    if kind.storage in _OURS:
        return about.ok("storage", kind.storage)
    said = f"{kind.storage} writes event by event: runs over long ranges start slowly"
    remedy = f"name ours in dagster.yaml: {_POSTGRES if not kind.is_on_disk else _SETTINGS}"
    return about.warn("storage", said, remedy)


def _disk(about: About, home: Path) -> Finding:
    kind = file_system(home)
    if is_shared(kind):
        said = f"SQLite's files lie on the network ({kind}), where its locks may not hold"
        remedy = f"put DAGSTER_HOME on a disk of this machine, or use PostgreSQL: {_POSTGRES}"
        return about.warn("file system", said, remedy, kind=kind)
    return about.ok("file system", kind or "unknown", kind=kind)


def _installed() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in ("dagster", "dagster-webserver", "dagster-postgres", "dagster-gcp"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _numbers(text: str) -> tuple[int, ...]:
    """The numbers a version begins with: 1.13.0rc1 is (1, 13, 0)."""
    numbers: list[int] = []
    for piece in text.split("."):
        digits = piece[: len(piece) - len(piece.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
    return tuple(numbers)


def _as_dagster(numbers: tuple[int, ...]) -> tuple[int, ...]:
    """The version of Dagster that a library's goes with."""
    if numbers[:1] == (0,) and len(numbers) > 1:
        return (1, numbers[1] - _LIBRARY_OFFSET, *numbers[2:])
    return numbers
