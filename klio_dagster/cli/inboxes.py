"""What `klio` says of messages that are not finished: in the inbox, or still to be passed on."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from klio_dagster.cli.project import Project
from klio_dagster.core.wording import counted
from klio_dagster.store.inbox import all_batches
from klio_dagster.store.outbox import waiting


@dataclass(frozen=True, slots=True)
class Unfinished:
    """Messages of the project's stores.

    Args:
        inbox: name of the sensor that took them in to the number of its batches.
        without_sensor: those of the sensors that the workspace does not define: nobody asks for
            their batches.
        outbox: group to the number of its entities that are recorded and not passed on.
    """

    inbox: Counter[str]
    without_sensor: Sequence[str]
    outbox: Counter[str]

    @classmethod
    def of(cls, project: Project) -> "Unfinished":
        """What lies in the stores of the selected groups.

        Raises:
            ConfigError: a store does not let us read.
            StoreUnavailableError: a store did not answer.
        """
        stores = {group.store.uri(""): group.store for group in project.groups}
        inbox = Counter(batch.sensor for store in stores.values() for batch in all_batches(store))
        places = {(g.store.uri(""), g.group.name): g for g in project.groups}
        outbox = Counter[str]()
        for (_, name), place in places.items():
            outbox[name] += waiting(place.store, name)
        return cls(inbox, sorted(set(inbox) - set(project.sensors)), +outbox)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "inbox": dict(self.inbox),
            "inbox_without_sensor": list(self.without_sensor),
            "outbox": dict(self.outbox),
        }

    def lines(self) -> Iterator[str]:
        """For people: what there is, and which of it stays there for ever."""
        if self.inbox:
            batches = counted(self.inbox.total(), "batch", "batches")
            yield f"{batches} of messages in the inbox ({_by_name(self.inbox)})"
        for name in self.without_sensor:
            yield (
                f"no message sensor of this workspace is named '{name}', so nobody asks for what is"
                " in its inbox: give that name to the one that took its place (name=), until its"
                " inbox is empty"
            )
        if self.outbox:
            entities = counted(self.outbox.total(), "entity", "entities")
            yield (
                f"{entities} recorded and still to be published ({_by_name(self.outbox)}): the next"
                " run or tick does, once the topic takes it"
            )


def _by_name(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in sorted(counts.items()))
