"""All checks of a project: what is looked at, and in which order it is told."""

from collections.abc import Collection, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

from klio_dagster.errors import KlioError
from klio_dagster.observe.doctor import database
from klio_dagster.observe.doctor.engines import EngineInUse, engine_check
from klio_dagster.observe.doctor.examine import Check, Examined, examine
from klio_dagster.observe.doctor.finding import About, Finding
from klio_dagster.observe.doctor.libraries import look_at_libraries
from klio_dagster.observe.doctor.messages import Listener, Told, message_checks
from klio_dagster.observe.doctor.sources import look_at_sources, place_of
from klio_dagster.observe.doctor.store_state import look_at_contents, look_at_owner
from klio_dagster.observe.doctor.stores import look_at_store
from klio_dagster.observe.doctor.trial import Measured
from klio_dagster.store.sources import SourcePattern
from klio_dagster.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Configured:
    """What a project has configured.

    Args:
        stores: each store of outputs, with the keys of the assets that lie there.
        sources: each folder of sources: its patterns, and the store they are looked for in or
            opened from.
        sensors: names of its message sensors.
        listeners: the same, with what they listen to.
        told: the topics that are published on.
        engines: each engine.
        instance: Dagster's; None where it cannot be opened.
        why_not: what it said then.
        home: DAGSTER_HOME.
        environment: of this process.
        sensors_on: names of the sensors that Dagster's daemon is to tick.
        schedules_on: the same of schedules.
    """

    stores: Sequence[tuple[Store, Sequence[str]]]
    sources: Sequence[tuple[Store, Sequence[SourcePattern]]]
    sensors: Collection[str]
    listeners: Sequence[Listener]
    told: Sequence[Told]
    engines: Sequence[EngineInUse]
    instance: dg.DagsterInstance | None
    why_not: KlioError | None
    home: Path
    environment: Mapping[str, str]
    sensors_on: Collection[str]
    schedules_on: Collection[str]


def examined(
    configured: Configured, *, within_s: float, process_s: float, secrets: Collection[str]
) -> Examined:
    """Look at everything.

    First what is asked over the network or of a disk, all at once. Then the processes: they need
    the cores, and would make the times of the others look worse than they are.

    Args:
        configured: what there is.
        within_s: how long each check may take, in seconds, > 0.
        process_s: the same where processes are started.
        secrets: texts that must not be shown.
    """
    asked = [*_stores(configured), *_messages(configured), *_database(configured)]
    first = examine(asked, within_s=within_s, secrets=secrets)
    second = examine(_processes(configured, process_s), within_s=process_s, secrets=secrets)
    return Examined([*first.findings, *second.findings], first.hangs or second.hangs)


def _stores(configured: Configured) -> list[Check]:
    return [
        *(
            Check(
                About("store", store.url),
                "access",
                lambda store=store, keys=keys: _store(configured, store, keys),
            )
            for store, keys in configured.stores
        ),
        *(
            Check(
                About("source", place_of(store, patterns[0])),
                "access",
                lambda store=store, patterns=patterns: look_at_sources(store, patterns),
            )
            for store, patterns in configured.sources
            if patterns[0].root
        ),
    ]


def _store(configured: Configured, store: Store, keys: Sequence[str]) -> Generator[Finding]:
    measured = Measured()
    if not (yield from look_at_store(store, measured)):
        return
    if configured.instance is not None:
        yield from look_at_owner(store, configured.instance, keys)
    yield from look_at_contents(store, measured, configured.sensors)
    for of, patterns in configured.sources:
        if of.url == store.url and not patterns[0].root:
            yield from look_at_sources(store, patterns)


def _messages(configured: Configured) -> list[Check]:
    return message_checks(configured.listeners, configured.told)


def _database(configured: Configured) -> list[Check]:
    about = About("database", "Dagster's storage")
    home = Check(
        about, "home", lambda: database.look_at_home(configured.home, configured.environment)
    )
    versions = Check(about, "version", database.look_at_versions)
    instance = configured.instance
    if instance is None:
        return [Check(about, "open", lambda: _not_opened(about, configured)), home, versions]
    return [
        Check(about, "answer", lambda: database.look_at_database(instance, configured.home)),
        Check(
            About("database", "Dagster's daemon"),
            "works",
            lambda: database.look_at_daemon(
                instance, configured.sensors_on, configured.schedules_on
            ),
        ),
        home,
        versions,
    ]


def _not_opened(about: About, configured: Configured) -> Generator[Finding]:
    if configured.why_not is not None:
        yield about.failed("open", configured.why_not)


def _processes(configured: Configured, within_s: float) -> list[Check]:
    libraries = Check(
        About("libraries", "of the workers"),
        "import",
        lambda: look_at_libraries(configured.environment, within_s),
    )
    return [*map(engine_check, configured.engines), libraries]
