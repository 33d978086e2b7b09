"""A team: a catalogue, a group that messages ask for, and the topics it hears and tells."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from klio_dagster.codecs.json import Json
from klio_dagster.core.asset import EntityAsset
from klio_dagster.core.job import JobId, UpstreamTrigger
from klio_dagster.core.letter import Asked
from klio_dagster.defs.decorator import klio_assets, source_assets
from klio_dagster.defs.pubsub import KlioPubSubResource
from klio_dagster.defs.resource import KlioResource
from klio_dagster.message import Message, decode, encode, new_message
from klio_dagster.pubsub.publish import Outgoing
from klio_dagster.pubsub.pull import Received
from klio_dagster.store.dead_letter import DeadLetter
from klio_dagster.store.inbox import list_batches, read_batch
from klio_dagster.streaming.dead_letter import listed
from klio_dagster.streaming.sensor import build_klio_pubsub_sensor
from tests.flows import flow_jobs as jobs
from tests.flows.catalogue import TRACKS, Catalogue, Outcome
from tests.services.pubsub import PubSubEmulator


@dataclass
class Team:
    """One team, with a subscription of its own.

    Args:
        catalogue: its store and instance.
        emulator: where its topics are.
        name: of the group and of its job in messages.
        hears: topic it is asked on; a new one when empty.
        upstream: who makes its missing recordings.
        source: pattern of its recordings; in a folder of its name when empty.
        options: of the sensor.
        subscribing: settings of the subscription.
        factor: a parameter of mel.
    """

    catalogue: Catalogue
    emulator: PubSubEmulator
    name: str = "work"
    hears: str = ""
    tells: bool = True
    upstream: UpstreamTrigger | None = None
    source: str = ""
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    subscribing: dict[str, Any] = field(default_factory=dict[str, Any])
    factor: int = 1

    def __post_init__(self) -> None:
        self.hears = self.hears or self.emulator.new_topic()
        self.subscription = self.emulator.new_subscription(self.hears, **self.subscribing)
        self.topic = self.emulator.new_topic() if self.tells else None
        self.listen_downstream()
        self.job = JobId(self.emulator.project, self.name)
        self.pubsub = KlioPubSubResource(
            project=self.emulator.project, emulator_host=self.emulator.host
        )
        self.deploy()
        self.cursor: str | None = None

    def deploy(self) -> None:
        """The code location is loaded as it is written now."""
        self.assets = self._group()
        self.sensor = build_klio_pubsub_sensor(
            assets=self.assets, subscription=self.subscription, **self.options
        )

    def listen_downstream(self) -> None:
        """Subscribe to what it tells, from now on."""
        self._downstream = self.emulator.new_subscription(self.topic) if self.topic else ""

    def _group(self) -> dg.AssetsDefinition:
        source = self.source or f"{self.name}/{{entity}}.txt"

        @klio_assets(
            partitions_def=TRACKS,
            assets=[
                EntityAsset(
                    "recording", jobs.text, source=source, output=Json(), upstream=self.upstream
                ),
                EntityAsset(
                    "mel",
                    jobs.length,
                    deps=["recording"],
                    params={"factor": self.factor},
                    output=Json(),
                ),
                EntityAsset("report", jobs.report, deps=["recording", "mel"], output=Json()),
            ],
            name=self.name,
            publish_to=self.topic,
        )
        def compute(context: dg.AssetExecutionContext, klio: KlioResource):
            yield from klio.run(context=context)

        return compute

    @property
    def klio(self) -> KlioResource:
        return KlioResource(store=str(self.catalogue.folder), pubsub=self.pubsub)

    def put(self, *entities: str, text: bytes = b"text") -> None:
        """Their recordings are there."""
        for entity in entities:
            self.catalogue.put(f"{self.name}/{entity}.txt", text)

    def ask(self, *entities: str, **said: Any) -> None:
        """Somebody publishes messages that ask for them."""
        self.send(*(encode(new_message(entity, **said)) for entity in entities))

    def send(self, *messages: bytes, attributes: dict[str, str] | None = None) -> None:
        self.pubsub.publisher().publish(
            self.hears, [Outgoing(data, attributes or {}) for data in messages]
        )

    def evaluate(self) -> dg.SensorResult:
        """A tick as in the UI's preview."""
        definitions = dg.Definitions(
            assets=[self.assets, *source_assets(self.assets)],
            sensors=[self.sensor],
            resources={"klio": self.klio},
        )
        with dg.build_sensor_context(
            instance=self.catalogue.instance,
            definitions=definitions,
            resources={"klio": self.klio},
            sensor_name=self.sensor.name,
        ) as context:
            result = self.sensor(context)
        assert isinstance(result, dg.SensorResult)
        return result

    def tick(self) -> list[dg.RunRequest]:
        """The runs a tick requests."""
        return list(self.evaluate().run_requests or ())

    def run(self, request: dg.RunRequest) -> Outcome:
        """The run that the daemon launches of a request."""
        ((_, op),) = request.run_config["ops"].items()
        return self.run_with(tags=request.tags, **op["config"])

    def run_with(self, **asked: Any) -> Outcome:
        return self.catalogue.run(self.assets, resources={"klio": self.klio}, **asked)

    def follow(self) -> list[Outcome]:
        """A tick, and the runs it requests."""
        return [self.run(request) for request in self.tick()]

    def asked(self) -> list[Asked]:
        """What is in the inbox."""
        batches = list_batches(self.catalogue.store, self.sensor.name)
        return [each for b in batches for each in read_batch(self.catalogue.store, b) or ()]

    def inbox(self) -> list[str]:
        return [each.entity for each in self.asked()]

    def dead(self) -> list[DeadLetter]:
        found = list(listed(self.catalogue.store))
        assert all(isinstance(each, DeadLetter) for each in found), found
        return [each for each in found if isinstance(each, DeadLetter)]

    def told(self) -> list[Message]:
        """What it has published since this was asked last."""
        subscription = self.pubsub.subscription(self._downstream)
        received = subscription.pull()
        subscription.acknowledge(received)
        return [decode(each.data, job=self.job) for each in received]

    def left_in_topic(self) -> Sequence[Received]:
        """What nobody has acknowledged; it is given back."""
        subscription = self.pubsub.subscription(self.subscription)
        received = subscription.pull()
        subscription.release(received)
        return received
