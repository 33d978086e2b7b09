"""What `klio` says of batches of messages that are not finished."""

from collections import Counter
from collections.abc import Iterator, Mapping

from klio_dagster.cli.project import Project
from klio_dagster.core.wording import counted
from klio_dagster.store.inbox import all_batches


def counted_batches(project: Project) -> dict[str, int]:
    """Name of the sensor that took them in to the number of its batches, if any.

    Raises:
        ConfigError: a store does not let us read.
        StoreUnavailableError: a store did not answer.
    """
    stores = {group.store.uri(""): group.store for group in project.groups}
    return Counter(batch.sensor for store in stores.values() for batch in all_batches(store))


def without_sensor(project: Project, counts: Mapping[str, int]) -> list[str]:
    """Those of the sensors that the project does not define: nobody asks for their batches."""
    return sorted(set(counts) - set(project.sensors))


def told_of_batches(counts: Mapping[str, int], strangers: list[str]) -> Iterator[str]:
    """What is in the inbox, and which of it stays there for ever."""
    by_sensor = ", ".join(f"{sensor} {number:,}" for sensor, number in sorted(counts.items()))
    batches = counted(sum(counts.values()), "batch", "batches")
    yield f"{batches} of messages in the inbox ({by_sensor})"
    for name in strangers:
        yield (
            f"no message sensor of this workspace is named '{name}', so nobody asks for what is in"
            " its inbox: give that name to the one that took its place (name=), until its inbox is"
            " empty"
        )
