"""What sensors that look by themselves have in common: one run at a time, and pauses in between."""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from klio_dagster.core.request import RerunOn
from klio_dagster.defs.group import EntityGroup
from klio_dagster.defs.liveness import run_under_way
from klio_dagster.defs.requested import entity_run_tags, named_entities
from klio_dagster.defs.sensing import resource_keys
from klio_dagster.errors import ConfigError
from klio_dagster.ledger.internals.definitions import job_of_entities
from klio_dagster.store.layout import request_path
from klio_dagster.store.store import Store

_FIRST_PAUSE_S = 60.0
_LONGEST_PAUSE_S = 3600.0  # between two requests of the very same plan


@dataclass(frozen=True, slots=True, kw_only=True)
class LastRequest:
    """What the sensor remembers: the plan it requested last.

    Args:
        plan: digest of it.
        times: how often in a row.
        at: when, seconds since the epoch.
        serial: number of the request; makes its run key unlike all before.
    """

    plan: str = ""
    times: int = 0
    at: float = 0.0
    serial: int

    @classmethod
    def of_cursor(cls, cursor: str | None, now: float) -> "LastRequest":
        """What a cursor says; what a first one would, where there is none."""
        # Somebody may have reset the cursor: numbers given out before must not come again.
        return cls(**json.loads(cursor)) if cursor else cls(serial=int(now))

    def next(self, plan: str, now: float) -> "LastRequest":
        """After this plan was requested."""
        times = self.times + 1 if plan == self.plan else 1
        return LastRequest(plan=plan, times=times, at=now, serial=self.serial + 1)

    def pause_s(self, plan: str, now: float) -> float:
        """How long to wait before this plan is requested: the same one again did not get done."""
        if plan != self.plan or now < self.at:  # or the clock was set back
            return 0.0
        return max(0.0, self.at + min(_FIRST_PAUSE_S * 2.0**self.times, _LONGEST_PAUSE_S) - now)

    def to_cursor(self) -> str:
        """As a cursor."""
        fields = {"plan": self.plan, "times": self.times, "at": self.at, "serial": self.serial}
        return json.dumps(fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a tick would like to be computed.

    Args:
        entities: in one run.
        plan: digest of what is wanted and why: the same again did not get done.
        said: what the tick has seen, for people.
        rerun_on: which changes make finished work of these entities stale.
        config: more of the run config.
    """

    entities: Sequence[str]
    plan: str
    said: str
    rerun_on: Collection[RerunOn]
    config: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Asking:
    """One tick of a sensor that has one run at a time.

    Args:
        context: Dagster's.
        group: whose entities are asked for.
        store: where it lies.
        name: of the sensor.
        tag: which its runs carry, with its name.
        now: seconds since the epoch.
    """

    context: dg.SensorEvaluationContext
    group: EntityGroup
    store: Store
    name: str
    tag: str
    now: float

    def under_way(self) -> str | None:
        """A run that was requested before and is alive.

        Raises:
            ConfigError: a claim cannot be read.
            StoreUnavailableError: the store did not answer.
        """
        return run_under_way(self.context.instance, self.store, {self.tag: self.name})

    def ask(self, wish: Wish) -> dg.SensorResult:
        """Request it, unless the very same was requested a moment ago.

        Raises:
            ConfigError: the store does not let us write.
            StoreUnavailableError: the store did not answer.
        """
        last = LastRequest.of_cursor(self.context.cursor, self.now)
        if pause_s := last.pause_s(wish.plan, self.now):
            return dg.SensorResult(
                skip_reason=f"{wish.said}; requested {last.times} times and not done:"
                f" again in {pause_s:.0f} s"
            )
        self.context.log.info(f"{wish.said}; {len(wish.entities):,} requested")
        return dg.SensorResult(
            run_requests=[self._request(wish, f"{wish.plan}/{last.serial}")],
            cursor=last.next(wish.plan, self.now).to_cursor(),
        )

    def _request(self, wish: Wish, run_key: str) -> dg.RunRequest:
        file = request_path(run_key.replace("/", "-"))
        config: dict[str, Any] = {
            **named_entities(self.store, wish.entities, file),
            "rerun_on": sorted(reason.value for reason in wish.rerun_on),
            **wish.config,
        }
        return dg.RunRequest(
            run_key=run_key,
            run_config={"ops": {self.group.name: {"config": config}}},
            tags={**entity_run_tags(str(len(wish.entities))), self.tag: self.name},
        )


def most_of_a_run(group: EntityGroup, given: int | None, *, where: str) -> int:
    """How many entities a run takes at most.

    Args:
        group: bounds it where nobody says anything.
        given: what somebody says.
        where: the function it was given to, for the error.

    Raises:
        ConfigError: it is below 1.
    """
    most = group.max_entities_per_run if given is None else given
    if most < 1:
        raise ConfigError(f"max_entities_per_run is {most}", where=where, fix="use 1 or more")
    return most


def entity_sensor(
    assets: dg.AssetsDefinition,
    evaluate: Callable[[dg.SensorEvaluationContext], dg.SensorResult],
    *,
    name: str,
    description: str,
    minimum_interval_seconds: int,
    default_status: dg.DefaultSensorStatus,
) -> dg.SensorDefinition:
    """A sensor with a job of its own over a group.

    Args:
        assets: the group.
        evaluate: a tick.
        name: of the sensor and of the job it requests.
        description: what it asks for.
        minimum_interval_seconds: between two ticks.
        default_status: whether it ticks before somebody has switched it on.
    """
    job = dg.define_asset_job(
        name, selection=dg.AssetSelection.assets(assets), description=description
    )

    def tick(context: dg.SensorEvaluationContext, **_resources: object) -> dg.SensorResult:
        return evaluate(context)

    return dg.SensorDefinition(
        name=name,
        job=job_of_entities(job),
        evaluation_fn=tick,
        minimum_interval_seconds=minimum_interval_seconds,
        default_status=default_status,
        required_resource_keys=resource_keys(assets),
        description=description,
    )
