"""Teams in a row, each with a store and a ledger of its own, joined by topics only.

`a` hears its own topic; each other team hears what the one above it tells, and its recordings are
that one's reports.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from klio_dagster.core.job import UpstreamTrigger
from tests.flows.catalogue import opened
from tests.services.pubsub import PubSubEmulator
from tests.streaming.team import Team

# How often inputs are looked for: at every tick; or only once, by the first one.
AT_ONCE, NEVER_S = 0.0, 3600.0


class Family:
    """Teams below one another.

    Args:
        folder: of the test.
        emulator: where their topics are.
        above: name of each team but the first to the one above it, in order.
        options: of the triggers.
    """

    def __init__(
        self, folder: Path, emulator: PubSubEmulator, above: dict[str, str], **options: Any
    ) -> None:
        self._stack = ExitStack()
        self.teams: dict[str, Team] = {}
        for name in ("a", *above):
            (folder / name).mkdir()
            catalogue = self._stack.enter_context(opened(folder / name))
            if name == "a":
                self.teams[name] = Team(catalogue, emulator, name)
                continue
            parent = self.teams[above[name]]
            assert parent.topic is not None
            self.teams[name] = Team(
                catalogue,
                emulator,
                name,
                hears=parent.topic,
                source=f"file://{parent.catalogue.folder}/report/{{entity:escaped}}.json",
                upstream=UpstreamTrigger(parent.job, parent.hears, **options),
            )

    def __getitem__(self, name: str) -> Team:
        return self.teams[name]

    def close(self) -> None:
        self._stack.close()

    def settle(self, rounds: int = 12) -> None:
        """Ticks of all of them, and the runs they request, until nothing moves any more."""
        for _ in range(rounds):
            moved = False
            for team in self.teams.values():
                result = team.evaluate()
                for request in result.run_requests or ():
                    team.run(request)
                is_idle = "no messages, and the inbox is empty" in str(result.skip_reason)
                moved |= bool(result.run_requests) or not is_idle
            if not moved:
                return
        raise AssertionError("they do not come to rest")

    def computed(self) -> dict[str, set[str]]:
        """Team to the entities its ledger knows as made."""
        return {name: team.catalogue.materialized("report") for name, team in self.teams.items()}


@contextmanager
def family(
    folder: Path, emulator: PubSubEmulator, above: dict[str, str], **options: Any
) -> Iterator[Family]:
    """Teams, closed in the end."""
    made = Family(folder, emulator, above, **options)
    try:
        yield made
    finally:
        made.close()
