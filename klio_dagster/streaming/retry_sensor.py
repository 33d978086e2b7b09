"""`build_klio_retry_sensor`: what failed is tried again, later and later, and then given up."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

import dagster as dg

from klio_dagster.core.backoff import Backoff
from klio_dagster.core.failing import Failing, by_entity, failing
from klio_dagster.core.record import Tries
from klio_dagster.core.request import RerunOn
from klio_dagster.defs.asking import Asking, Wish, entity_sensor, most_of_a_run
from klio_dagster.defs.group import EntityGroup, entity_group
from klio_dagster.defs.metadata import metadata_of
from klio_dagster.defs.partitions import registered
from klio_dagster.defs.sensing import resource_of
from klio_dagster.errors import ConfigError
from klio_dagster.ledger.in_flight import in_flight
from klio_dagster.ledger.ledger import Ledger, ledger_of
from klio_dagster.store.clock import time_at
from klio_dagster.store.given_up import GivenUp, forget, given_up
from klio_dagster.store.inbox import asked_entities
from klio_dagster.store.kept import held_entities, who_waits
from klio_dagster.store.store import Store
from klio_dagster.streaming.giving_up import GivingUp

_WHERE = "build_klio_retry_sensor"
_RETRIES = "klio/retries"
_TICK_S = 60
_MOST_GIVEN_UP = 5_000  # in one tick; the next one goes on


def build_klio_retry_sensor(
    *,
    assets: dg.AssetsDefinition,
    max_attempts: int = 3,
    backoff: Backoff | float = Backoff(),  # noqa: B008 - a frozen value
    name: str | None = None,
    max_entities_per_run: int | None = None,
    minimum_interval_seconds: int = _TICK_S,
    default_status: dg.DefaultSensorStatus = dg.DefaultSensorStatus.STOPPED,
) -> dg.SensorDefinition:
    """A sensor that asks again for what failed, later and later, and then gives it up.

    Attempts are counted by Dagster's records: those that failed since the entity's output was made
    last, whoever asked for them. All that are due are tried in one run. What was tried often enough
    goes to the dead letters, with its messages, or with one that is made for it; it is asked for no
    more until somebody else tries it again, which gives it all attempts anew.

    Args:
        assets: the group that `@klio_assets` made.
        max_attempts: how often an entity is tried, the first time included, >= 1.
        backoff: how long it rests after each attempt; a number is the first wait in seconds, each
            further one is four times longer, up to an hour.
        name: of the sensor and of the job it requests; `retry_<group>` when None.
        max_entities_per_run: bounds one run, >= 1; that of the group when None.
        minimum_interval_seconds: between two ticks.
        default_status: whether it ticks before somebody has switched it on.

    Raises:
        ConfigError: `@klio_assets` did not make the assets, or an option is wrong.
    """
    group = entity_group(assets, where=_WHERE)
    most = most_of_a_run(group, max_entities_per_run, where=_WHERE)
    if max_attempts < 1:
        raise ConfigError(f"max_attempts is {max_attempts}", where=_WHERE, fix="use 1 or more")
    waits = Backoff.of(backoff)
    named = name or f"retry_{group.name}"

    def evaluate(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        store = resource_of(context, assets).open_store()
        asking = Asking(context, group, store, named, _RETRIES, time.time())
        ledger = ledger_of(context.instance, describe=metadata_of)
        return _Tick(asking, group, store, ledger, max_attempts, waits).result(most)

    return entity_sensor(
        assets,
        evaluate,
        name=named,
        description=f"Tries what failed in '{group.name}' again, {max_attempts} times in all.",
        minimum_interval_seconds=minimum_interval_seconds,
        default_status=default_status,
    )


@dataclass(frozen=True, slots=True)
class _Tick:
    """One evaluation of the sensor.

    Args:
        asking: requests runs.
        group: whose entities are tried again.
        store: where it lies.
        ledger: Dagster's log.
        max_attempts: how often an entity is tried.
        backoff: how long it rests.
    """

    asking: Asking
    group: EntityGroup
    store: Store
    ledger: Ledger
    max_attempts: int
    backoff: Backoff

    def result(self, most: int) -> dg.SensorResult:
        """What to request, or why nothing."""
        before = given_up(self.store, self.group.name)
        tries = self._tries(None, before)
        # What works by now, or was taken out of the ledger.
        forget(self.store, {e: known for e, known in before.items() if e not in tries})
        catalogue = set(registered(self.asking.context.instance, self.group.partitions))
        tries = {entity: known for entity, known in tries.items() if entity in catalogue}
        found = failing(
            tries,
            given_up={entity: known.event_id for entity, known in before.items()},
            under_way=self._under_way(tries),
            max_attempts=self.max_attempts,
            backoff=self.backoff,
            # What failed says when by the store's clock.
            now=time_at(self.store) if tries else self.asking.now,
        )
        number = self._give_up(found, tries, before)
        said = _said(found, number)
        if run_id := self.asking.under_way():
            said = f"run {run_id}, requested before, has not ended; {said}"
            return dg.SensorResult(skip_reason=said)
        if not found.due:
            return dg.SensorResult(skip_reason=said)
        due = found.due[:most]
        wish = Wish(
            entities=due,
            plan=_digest(self.group.name, due, tries),
            said=said,
            rerun_on=(RerunOn.INPUT,),
            config={"max_wait_s": 0.0},  # what others work on is not tried by us
        )
        return self.asking.ask(wish)

    def _tries(
        self, entities: Sequence[str] | None, before: Mapping[str, GivenUp]
    ) -> dict[str, Tries]:
        after = {entity: known.event_id for entity, known in before.items()}
        return by_entity(self.ledger.tries(key, entities, after) for key in self._keys)

    @property
    def _keys(self) -> list[str]:
        return [self.group.keys[asset.name] for asset in self.group.chain.assets]

    def _under_way(self, tries: Mapping[str, Tries]) -> set[str]:
        """Who somebody works on, or will: live runs, and messages that are in no run yet.

        Read after the ledger: a failure that stands there is in its batch until its messages are
        held, and in its run's receipts until that ends.
        """
        if not tries:
            return set()
        others = in_flight(self.store, self._keys, tries)
        lacking = who_waits(self.store, [self.group.keys[n] for n in self.group.upstreams])
        return {
            *(entity for _, entity in others.pairs),
            *(receipt.entity for receipt in others.receipts),
            *asked_entities(self.store),
            *(entity for entities in lacking.values() for entity in entities),
        }

    def _give_up(
        self, found: Failing, tries: Mapping[str, Tries], before: Mapping[str, GivenUp]
    ) -> int:
        """Move to the dead letters what was tried often enough; how many."""
        held = held_entities(self.store, self.group.name)  # after the inbox was read
        exhausted = found.exhausted[:_MOST_GIVEN_UP]
        # A run that ended while we looked may have made it after all; a second daemon may have
        # given it up.
        again = self._tries(exhausted, before) if exhausted else {}
        others = given_up(self.store, self.group.name) if exhausted else {}
        exhausted = [e for e in exhausted if again.get(e) == tries[e]]
        exhausted = [e for e in exhausted if others.get(e) == before.get(e)]
        left = [entity for entity in found.given_up if entity in held]
        moving = GivingUp(
            store=self.store,
            group=self.group,
            ledger=self.ledger,
            tries=tries,
            held=held,
            before=before,
            warn=self.asking.context.log.warning,
        )
        moving.give_up([*exhausted, *left])
        return len(exhausted)


def _said(found: Failing, moved: int) -> str:
    """What the tick has seen, in one line."""
    parts = [f"{len(found.due):,} due"] if found.due else []
    if found.resting:
        first = datetime.fromtimestamp(min(found.resting.values()), UTC)
        parts.append(f"{len(found.resting):,} resting until {first:%Y-%m-%d %H:%M:%S} UTC or later")
    parts += [f"{moved:,} moved to the dead letters"] if moved else []
    parts += [f"{len(found.given_up):,} given up before"] if found.given_up else []
    parts += [f"{len(found.under_way):,} under way"] if found.under_way else []
    return ", ".join(parts) or "nothing to be tried again"


def _digest(group: str, entities: Sequence[str], tries: Mapping[str, Tries]) -> str:
    """Equal as long as none of them was tried."""
    told = [group, *((entity, tries[entity].event_id) for entity in entities)]
    return sha256(json.dumps(told).encode()).hexdigest()[:16]
