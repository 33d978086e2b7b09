"""What `klio` says of entities whose messages wait for an input that another job makes."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from klio_dagster.cli.project import Project, ProjectGroup
from klio_dagster.core.wording import counted
from klio_dagster.store.kept import who_waits


def counted_waits(project: Project) -> dict[str, int]:
    """Asset key to how many entities lack an input of it that another job makes, if any.

    Raises:
        ConfigError: a store does not let us read.
        StoreUnavailableError: a store did not answer.
    """
    return {
        asset: len(entities)
        for group in project.groups
        for asset, entities in who_waits(group.store, group.keys).items()
    }


def told_of_waits(counts: Mapping[str, int]) -> str:
    """How many wait, by asset."""
    entities = sum(counts.values())
    by_asset = ", ".join(f"{asset} {number:,}" for asset, number in counts.items())
    wait = "waits" if entities == 1 else "wait"
    return (
        f"{counted(entities, 'entity', 'entities')} {wait} for an input of another job"
        f" ({by_asset}): klio explain ENTITY"
    )


def waits_of(group: ProjectGroup, name: str, entity: str) -> Iterator[str]:
    """What the messages of an entity wait for, if they do.

    Raises:
        ConfigError: the store does not let us read.
        StoreUnavailableError: the store did not answer.
    """
    trigger = group.group.upstreams.get(name)
    key = group.group.keys[name]
    waiting = who_waits(group.store, [key]).get(key, {}) if trigger else {}
    if trigger is None or entity not in waiting:
        return
    asked = waiting[entity]
    if asked is None:
        yield f"its messages wait for this input; the next tick asks {trigger.job} for it"
        return
    yield (
        f"its messages wait for this input: {trigger.job} was asked {_at(asked)}; they become dead"
        f" letters {_at(asked + trigger.wait_s)}"
    )


def _at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("on %Y-%m-%d at %H:%M:%S")
