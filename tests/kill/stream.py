"""A stream of messages whose every message is followed: where it lies, and what came of it."""

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg

from klio_dagster.core.fold import read_lines
from klio_dagster.core.job import JobId
from klio_dagster.core.letter import Asked, Letter
from klio_dagster.core.record import FailedPair
from klio_dagster.defs.metadata import metadata_of
from klio_dagster.defs.pubsub import KlioPubSubResource
from klio_dagster.ledger.ledger import ledger_of
from klio_dagster.message import decode, encode, new_message
from klio_dagster.pubsub.publish import Outgoing
from klio_dagster.pubsub.pull import Received, Subscription
from klio_dagster.store.dead_letter import DeadLetter
from klio_dagster.store.inbox import Batch, list_batches, read_batch
from klio_dagster.store.kept import all_waiting
from klio_dagster.store.layout import REPLAY_PREFIX, held_prefix
from klio_dagster.store.outbox import left_behind, read_outbox
from klio_dagster.store.receipts import compacted
from klio_dagster.store.store import Store
from klio_dagster.streaming.dead_letter import listed
from tests.kill import points
from tests.kill.streamed_defs import ASSETS, GROUP, SENSOR, STREAM
from tests.kill.streamed_jobs import executions
from tests.services.pubsub import PubSubEmulator

BAD, POISON = b"bad", b"\xff\xfe poison"
NUMBER = "number"  # the attribute that tells each message from all others
_EMPTY_IN_THE_END = ("inbox", "outbox", "published", "held", "waiting", "replay", "open")

SETTINGS = """\
telemetry: {enabled: false}
run_queue: {dequeue_interval_seconds: 1, max_concurrent_runs: 4}
"""

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that was published to the stream.

    Args:
        number: tells it from all others.
        entity: whom it asks for; None: it cannot be read.
        ping: it asks for nothing.
    """

    number: str
    entity: str | None
    ping: bool = False


@dataclass
class Stream:
    """A store, a home, two topics, and all that was sent.

    Args:
        folder: of the test.
        emulator: where the topics are.
        upstream: there is somebody to be asked for missing recordings.
        trigger: options of how he is asked.
        options: of the sensor.
        settings: of the instance, beside the usual ones.
    """

    folder: Path
    emulator: PubSubEmulator
    upstream: bool = False
    trigger: Mapping[str, float] = field(default_factory=dict[str, float])
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    settings: str = ""
    sent: list[Sent] = field(default_factory=list[Sent])
    told: Counter[str] = field(default_factory=Counter[str])

    def __post_init__(self) -> None:
        self.store = Store.open(str(self.folder / "store"))
        home = self.folder / "home"
        home.mkdir()
        (home / "dagster.yaml").write_text(f"{SETTINGS}{self.settings}")
        hears, tells = self.emulator.new_topic(), self.emulator.new_topic()
        self.topic = hears
        subscription = self.emulator.new_subscription(hears, ack_deadline_seconds=10)
        asks = self.emulator.new_topic() if self.upstream else None
        self.pubsub = KlioPubSubResource(
            project=self.emulator.project, emulator_host=self.emulator.host
        )
        self.subscription = self.pubsub.subscription(subscription)
        self._downstream = self.pubsub.subscription(self.emulator.new_subscription(tells))
        self._upstream = (
            self.pubsub.subscription(self.emulator.new_subscription(asks)) if asks else None
        )
        told = {
            "store": str(self.folder / "store"),
            "project": self.emulator.project,
            "host": self.emulator.host,
            "subscription": subscription,
            "topic": tells,
            "upstream": asks,
            "trigger": dict(self.trigger),
            "options": dict(self.options),
        }
        self.environment = {
            **os.environ,
            "DAGSTER_HOME": str(home),
            points.FOLDER: str(self.folder),
            STREAM: json.dumps(told),
        }
        self.job = JobId(self.emulator.project, GROUP)

    def instance(self) -> dg.DagsterInstance:
        return dg.DagsterInstance.from_config(self.environment["DAGSTER_HOME"])

    def put(self, *entities: str, text: bytes = b"text") -> None:
        """Their recordings are there."""
        tracks = self.folder / "store" / "tracks"
        tracks.mkdir(parents=True, exist_ok=True)
        for entity in entities:
            (tracks / f"{entity}.txt").write_bytes(text)

    def ask(self, *entities: str, ping: bool = False, force: bool = False) -> None:
        """Somebody publishes messages that ask for them."""
        self._send(
            [
                (
                    encode(new_message(entity, ping=ping, force=force)),
                    Sent(self._number(n), entity, ping),
                )
                for n, entity in enumerate(entities)
            ]
        )

    def poison(self, times: int = 1) -> None:
        """Somebody publishes messages that cannot be read."""
        self._send([(POISON, Sent(self._number(n), None)) for n in range(times)])

    def _number(self, n: int) -> str:
        return str(len(self.sent) + n)

    def _send(self, messages: Sequence[tuple[bytes, Sent]]) -> None:
        outgoing = [Outgoing(data, {NUMBER: sent.number}) for data, sent in messages]
        self.pubsub.publisher().publish(self.topic, outgoing)
        self.sent += [sent for _, sent in messages]

    def forget(self) -> None:
        """All that was sent is done; from now on it is about other messages."""
        self.hear()
        self.sent.clear()
        self.told.clear()

    # ------------------------------------------------------------------ where messages are

    def let_leases_run_out(self) -> None:
        """What a dead process had pulled comes again now, and not in ten seconds."""
        ids = points.leases(self.folder)
        self.subscription.release([Received(b"", {}, "", 0.0, each) for each in ids])

    def in_topic(self) -> set[str]:
        """Numbers of the messages that nobody has acknowledged; they are given back."""
        received = _all_of(self.subscription)
        self.subscription.release(received)
        return {each.attributes[NUMBER] for each in received}

    def letters(self) -> Iterator[tuple[Letter, str | None]]:
        """All that is kept in the store, and whom it asks for."""
        for place in (self.asked(), self._held(), self._waiting(), self._outbox()):
            for asked in place:
                yield from ((letter, asked.entity) for letter in asked.letters)
        for dead in self.dead():
            yield dead.letter, dead.entity
        for data in self._objects(REPLAY_PREFIX):
            yield (letter := Letter.from_json(json.loads(data))), _entity_of(letter, self.job)

    def asked(self) -> list[Asked]:
        """What is in the inbox."""
        return [each for b in self.batches() for each in read_batch(self.store, b) or ()]

    def batches(self) -> list[Batch]:
        return list_batches(self.store, SENSOR)

    def dead(self) -> list[DeadLetter]:
        return [each for each in listed(self.store) if isinstance(each, DeadLetter)]

    def _held(self) -> list[Asked]:
        return [Asked.from_line(data) for data in self._objects(held_prefix(GROUP))]

    def _outbox(self) -> list[Asked]:
        found = (read_outbox(self.store, path) for path in left_behind(self.store, GROUP))
        return [each.asked for outbox in found if outbox for each in outbox.left]

    def _waiting(self) -> list[Asked]:
        return [each.asked for each in all_waiting(self.store, ASSETS[0])]

    def _objects(self, prefix: str) -> list[bytes]:
        found = [self.store.get_or_none(info.path) for info in self.store.list(prefix)]
        return [data for data in found if data is not None]

    def hear(self) -> Counter[str]:
        """How often each entity was passed on so far."""
        received = _all_of(self._downstream)
        self._downstream.acknowledge(received)
        self.told.update(decode(each.data, job=self.job).entity_id for each in received)
        return self.told

    def heard_upstream(self) -> Counter[str]:
        """How often each entity was asked for upstream."""
        assert self._upstream is not None
        return Counter(decode(m.data, job=self.job).entity_id for m in _all_of(self._upstream))

    # ------------------------------------------------------------------ what came of them

    def recorded(self) -> set[str]:
        """The entities of which the ledger has everything."""
        with self.instance() as instance:
            records = ledger_of(instance, describe=metadata_of).records(ASSETS, None)
        whole = [
            {e for e, record in records.get(asset, {}).items() if not record.failed}
            for asset in ASSETS
        ]
        return set.intersection(*whole)

    def failed(self) -> list[FailedPair]:
        """What the ledger says has failed."""
        with self.instance() as instance:
            return ledger_of(instance, describe=metadata_of).failures(ASSETS, None)

    def lost(self) -> list[Sent]:
        """Messages that are nowhere, and of which nothing has come."""
        waits = self.in_topic()
        kept = list(self.letters())
        numbers = {letter.attributes.get(NUMBER) for letter, _ in kept}
        entities = {entity for _, entity in kept if entity is not None}
        done = self.recorded()
        told = self.hear()
        return [
            sent
            for sent in self.sent
            if sent.number not in waits | numbers
            and (sent.entity is None or sent.entity not in entities)
            and not (told[sent.entity or ""] and (sent.ping or sent.entity in done))
        ]

    def too_early(self) -> set[str]:
        """Entities that were passed on and are not recorded."""
        pinged = {sent.entity for sent in self.sent if sent.ping}
        return set(self.hear()) - pinged - self.recorded()

    def finished(self) -> set[Pair]:
        """What has a receipt that says it is done."""
        receipts = self.folder / "store" / "_klio" / "receipts"
        parts = [read_lines(part.read_bytes()).receipts for part in receipts.glob("*/*.jsonl")]
        parts += [list(compacted(self.store, work.name)) for work in receipts.glob("*")]
        return {r.pair for part in parts for r in part if r.failure is None}

    def executed(self) -> Counter[Pair]:
        """How often each output was computed."""
        return Counter(executions(self.folder))

    def left_behind(self) -> list[str]:
        """What has to be gone when all is done."""
        places: Iterable[str] = (f"_klio/{name}/" for name in _EMPTY_IN_THE_END)
        return [info.path for place in places for info in self.store.list(place)]


def _all_of(subscription: Subscription) -> list[Received]:
    """All that waits; the emulator answers with a part of it."""
    found: list[Received] = []
    while received := subscription.pull():
        found += received
    return found


def _entity_of(letter: Letter, job: JobId) -> str | None:
    return decode(letter.forward or letter.data, job=job).entity_id
