"""A group's retry sensor, and entities that failed."""

import time
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from klio_dagster.core.letter import Asked, Letter
from klio_dagster.core.receipt import Failure, Receipt
from klio_dagster.defs.decorator import source_assets
from klio_dagster.message import encode, new_message
from klio_dagster.store.kept import hold
from klio_dagster.streaming.retry_sensor import build_klio_retry_sensor
from tests.flows.catalogue import Outcome
from tests.ledger.catalogue import new_run
from tests.streaming.team import Team

HOUR_S = 3600.0


@dataclass
class Retrier:
    """A group's retry sensor, whose clock goes as the test says."""

    team: Team
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    cursor: str | None = None
    later_s: float = 0.0

    def __post_init__(self) -> None:
        self.sensor = build_klio_retry_sensor(assets=self.team.assets, **self.options)

    def evaluate(self) -> dg.SensorResult:
        """A tick as in the UI's preview: nothing of it is kept."""
        team = self.team
        definitions = dg.Definitions(
            assets=[team.assets, *source_assets(team.assets)],
            sensors=[self.sensor],
            resources={"klio": team.klio},
        )
        with dg.build_sensor_context(
            instance=team.catalogue.instance,
            cursor=self.cursor,
            definitions=definitions,
            resources={"klio": team.klio},
            sensor_name=self.sensor.name,
        ) as context:
            result = self.sensor(context)
        assert isinstance(result, dg.SensorResult)
        return result

    def tick(self) -> dg.RunRequest | str:
        """What a tick requests, or why it requests nothing."""
        result = self.evaluate()
        self.cursor = result.cursor or self.cursor
        if result.skip_reason is not None:
            return str(result.skip_reason.skip_message)
        (request,) = list(result.run_requests or ())
        return request

    def follow(self) -> Outcome:
        """A tick, and the run it requests."""
        request = self.tick()
        assert isinstance(request, dg.RunRequest), request
        return self.team.run(request)


def asked_for(request: dg.RunRequest | str) -> list[str]:
    assert isinstance(request, dg.RunRequest), request
    ((_, op),) = request.run_config["ops"].items()
    return op["config"]["entities"]


def answered(team: Team) -> Outcome:
    """The run of messages that were sent a moment ago: the emulator may need another pull."""
    for _ in range(100):
        for run in team.follow():
            return run
        time.sleep(0.1)
    raise AssertionError("the messages did not come")


def tried_in_vain(team: Team, *entities: str, times: int = 1, error: str = "no sound") -> None:
    """Runs of a moment ago have failed with them, and recorded it."""
    team.catalogue.register(*entities)
    blocked = Failure.blocked_by("recording")
    for _ in range(times):
        for asset, failure in (("recording", Failure("ValueError", error)), ("mel", blocked)):
            receipts = [
                Receipt(run="r", entity=e, asset=asset, finished_at=time.time(), failure=failure)
                for e in entities
            ]
            team.catalogue.ledger.record(new_run(), receipts)


def held_message(team: Team, entity: str, **said: Any) -> Letter:
    """A message of an entity that failed, as a run holds it."""
    data = encode(new_message(entity, **said))
    letter = Letter(data=data, forward=data, message_id="1", attributes={"sender": "studio"})
    asked = Asked(entity=entity, letters=(letter,))
    hold(team.catalogue.store, team.name, team.sensor.name, asked)
    return letter
