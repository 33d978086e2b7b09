"""What `klio doctor` looks at, out of the project it is called in."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

import dagster as dg

from klio_dagster.cli.project import Project, ProjectGroup
from klio_dagster.core.asset import EntityAsset, EntityStep
from klio_dagster.core.reference import reference_of
from klio_dagster.errors import KlioError, LedgerError
from klio_dagster.ledger.internals.failures import ledger_error
from klio_dagster.ledger.internals.health import switched_on
from klio_dagster.observe.doctor.checkup import Configured
from klio_dagster.observe.doctor.engines import EngineInUse
from klio_dagster.observe.doctor.finding import secrets_in
from klio_dagster.observe.doctor.messages import Listener, Told
from klio_dagster.observe.doctor.sources import place_of
from klio_dagster.store.sources import SourcePattern
from klio_dagster.store.store import Store
from klio_dagster.streaming.settings import message_sensors


class Opening:
    """Opens Dagster's instance; where its database does not work, another one without one.

    Args:
        within_s: how long that may take, in seconds.
    """

    def __init__(self, within_s: float) -> None:
        self._within_s = within_s
        self.home = Path()
        self.error: KlioError | None = None
        """Why there is none."""
        self.hangs = False
        """The database does not even refuse; a thread waits for it still."""

    @contextmanager
    def __call__(self, home: Path) -> Iterator[dg.DagsterInstance]:
        """The instance.

        Raises:
            BaseException: its configuration is wrong.
        """
        self.home = home
        said: list[dg.DagsterInstance | BaseException] = []

        def get() -> None:
            try:
                said.append(dg.DagsterInstance.get())
            except BaseException as error:  # noqa: BLE001 - raised again where it belongs
                said.append(error)

        thread = Thread(target=get, daemon=True)
        thread.start()
        thread.join(self._within_s)
        self.hangs = not said
        match said:
            case [dg.DagsterInstance() as instance]:
                with instance:
                    yield instance
                return
            case [BaseException() as error]:
                self.error = _of_the_database(error)
                if self.error is None:
                    raise error
            case _:
                what = f"no answer within {self._within_s:g} s"
                fix = "see that the database of dagster.yaml answers, or give it longer (--timeout)"
                self.error = LedgerError(what, "DAGSTER_HOME", fix)
        with dg.DagsterInstance.ephemeral() as instance:
            yield instance


def configured(
    project: Project, opening: Opening, *, is_deep: bool, process_s: float
) -> Configured:
    """What is to be looked at.

    Args:
        project: all of it.
        opening: that its instance was opened with.
        is_deep: whether a driver may be started, and the transforms be imported.
        process_s: how long a process may take, in seconds.
    """
    listeners, on = _listeners(project, opening)
    return Configured(
        stores=_stores(project.groups),
        sources=_sources(project.groups),
        sensors=project.sensors,
        listeners=listeners,
        told=list(_told(project.groups)),
        engines=_engines(project.groups, is_deep=is_deep, process_s=process_s),
        instance=None if opening.error else project.instance,
        why_not=opening.error,
        home=opening.home,
        environment=dict(os.environ),
        sensors_on=on,
        schedules_on=_schedules_on(project, opening),
    )


def secrets_of(project: Project) -> list[str]:
    """What must not be shown: keys of stores and of the environment."""
    options: list[Mapping[str, str]] = [os.environ]
    for store in project.stores:
        options += [store.options, *store.access.by_location.values()]
    return sorted({secret for each in options for secret in secrets_in(each)}, key=len)[::-1]


def _of_the_database(error: BaseException) -> KlioError | None:
    """What a database that does not work says; None where something else is wrong."""
    said: BaseException | None = error
    while said is not None:
        if isinstance(said, Exception) and (found := ledger_error(said, "then call again")):
            return found
        said = said.__cause__
    return None


def _stores(groups: Sequence[ProjectGroup]) -> list[tuple[Store, Sequence[str]]]:
    found: dict[str, tuple[Store, list[str]]] = {}
    for each in groups:
        found.setdefault(each.store.url, (each.store, []))[1].extend(each.keys)
    return list(found.values())


def _sources(groups: Sequence[ProjectGroup]) -> list[tuple[Store, Sequence[SourcePattern]]]:
    """Each pattern once, those of one folder together."""
    found: dict[tuple[str, str], tuple[Store, dict[str, SourcePattern]]] = {}
    for each in groups:
        for text in each.group.sources:
            pattern = SourcePattern.parse(text)
            place = place_of(each.store, pattern), pattern.root
            found.setdefault(place, (each.store, {}))[1][text] = pattern
    return [(store, list(patterns.values())) for store, patterns in found.values()]


def _listeners(project: Project, opening: Opening) -> tuple[list[Listener], list[str]]:
    """The message sensors, and the names of all sensors that are switched on."""
    listeners: list[Listener] = []
    all_on: dict[str, None] = {}
    for each in project.groups:
        sensors = list(each.location.repository.sensor_defs)
        on = _switched_on(project.instance, sensors, opening)
        all_on.update(dict.fromkeys(sorted(on)))
        for name, settings in message_sensors(sensors).items():
            if settings.group.name == each.group.name:
                pubsub = settings.pubsub or each.pubsub
                listener = Listener(
                    sensor=name,
                    subscription=settings.subscription,
                    settings=pubsub.settings,
                    is_on=name in on,
                )
                listeners.append(listener)
    return listeners, list(all_on)


def _schedules_on(project: Project, opening: Opening) -> list[str]:
    """The names of all schedules that are switched on."""
    found: set[str] = set()
    for each in project.groups:
        schedules = list(each.location.repository.schedule_defs)
        found |= _switched_on(project.instance, schedules, opening)
    return sorted(found)


def _switched_on(
    instance: dg.DagsterInstance,
    definitions: Sequence[dg.SensorDefinition] | Sequence[dg.ScheduleDefinition],
    opening: Opening,
) -> frozenset[str]:
    """Where the database does not say, what the definitions do."""
    if opening.error is None:
        try:
            return switched_on(instance, definitions)
        except LedgerError:
            pass  # its own check says so
    running = (dg.DefaultSensorStatus.RUNNING, dg.DefaultScheduleStatus.RUNNING)
    return frozenset(each.name for each in definitions if each.default_status in running)


def _told(groups: Sequence[ProjectGroup]) -> Iterator[Told]:
    for each in groups:
        topics = [trigger.topic for trigger in each.group.upstreams.values()]
        if each.group.publish_to is not None:
            topics.insert(0, each.group.publish_to)
        for topic in topics:
            yield Told(group=each.group.name, topic=topic, settings=each.pubsub.settings)


def _engines(
    groups: Sequence[ProjectGroup], *, is_deep: bool, process_s: float
) -> list[EngineInUse]:
    """Each engine once, with the assets of all groups that use it."""
    by_options: dict[str, tuple[Mapping[str, Any], list[ProjectGroup]]] = {}
    for each in groups:
        by_options.setdefault(repr(each.engine), (each.engine, []))[1].append(each)
    return [
        EngineInUse(
            options=options,
            memory=_memory(those),
            transforms=sorted(
                {reference_of(part.transform) for each in those for part in _parts(each)}
            ),
            is_deep=is_deep,
            within_s=process_s,
        )
        for options, those in by_options.values()
    ]


def _parts(each: ProjectGroup) -> list[EntityStep]:
    chain = each.group.chain
    return [chain.part(name) for name in chain.computed([asset.name for asset in chain.assets])]


def _memory(groups: Sequence[ProjectGroup]) -> dict[str, int]:
    return {
        each.group.keys[asset.name]: limit
        for each in groups
        for asset in each.group.chain.assets
        if isinstance(asset, EntityAsset) and (limit := asset.memory_bytes) is not None
    }
