"""What `make demo-streaming` sees of its messages, wherever they are, and its table."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

import dagster as dg
from rich.table import Table

from klio_dagster.core.job import JobId
from klio_dagster.defs.metadata import metadata_of
from klio_dagster.defs.pubsub import KlioPubSubResource
from klio_dagster.errors import MessageError
from klio_dagster.ledger.ledger import ledger_of
from klio_dagster.message import Message, decode, encode
from klio_dagster.pubsub.publish import Outgoing
from klio_dagster.pubsub.pull import Received
from klio_dagster.store.dead_letter import DeadLetter
from klio_dagster.store.inbox import list_batches, read_batch
from klio_dagster.store.store import Store
from klio_dagster.streaming.dead_letter import listed
from tools.streaming_stage import SENSOR, Stage

ASSETS = ("recording", "mel", "features")
_POLL_S = 0.5


@dataclass(slots=True)
class Pass:
    """What came of the messages that were published at once.

    Args:
        name: of its line in the table.
        asked: entities.
        poison: how many messages nobody can read.
    """

    name: str
    asked: Sequence[str]
    poison: int
    since: int = 0
    """The ledger's newest event before."""
    published: dict[str, float] = field(default_factory=dict[str, float])
    """Entity to when, seconds since 1970."""
    poisoned: int = 0
    received: set[str] = field(default_factory=set[str])
    materialised: set[str] = field(default_factory=set[str])
    failed: set[str] = field(default_factory=set[str])
    passed_on: dict[str, float] = field(default_factory=dict[str, float])
    """Entity to seconds from its message to the one downstream."""
    known_dead: set[str] = field(default_factory=set[str])
    dead: list[str] = field(default_factory=list[str])
    """Why, of each message."""

    @property
    def skipped(self) -> set[str]:
        """Passed on, and nothing materialised."""
        return self.passed_on.keys() - self.materialised

    @property
    def is_over(self) -> bool:
        """Each message has become something."""
        return (
            self.passed_on.keys() | self.failed >= {*self.asked} and len(self.dead) >= self.poison
        )


@dataclass(slots=True)
class Watch:
    """Looks at all places a message can be in.

    Args:
        stage: where they are.
    """

    stage: Stage
    _instance: dg.DagsterInstance = field(init=False)
    _store: Store = field(init=False)
    _pubsub: KlioPubSubResource = field(init=False)

    def __post_init__(self) -> None:
        self._instance = dg.DagsterInstance.from_config(str(self.stage.home))
        self._store = Store.open(str(self.stage.store_folder))
        emulator = self.stage.emulator
        self._pubsub = KlioPubSubResource(project=emulator.project, emulator_host=emulator.host)

    def begin(self, now: Pass) -> None:
        """Note what is there already."""
        now.since = ledger_of(self._instance, describe=metadata_of).newest_event(ASSETS)
        now.known_dead = {each.id for each in self._dead()}

    def follow(self, now: Pass, show: Callable[[], None], patience_s: float) -> None:
        """Look until a pass is over and has left nothing in the inbox, or it takes too long."""
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            waiting = self._look(now)
            show()
            if now.is_over and not waiting:
                return
            time.sleep(_POLL_S)

    def publish(self, message: Message) -> None:
        """Publish a message that the command line would refuse."""
        self._pubsub.publisher().publish(self.stage.topic, [Outgoing(encode(message))])

    def newest_run(self) -> str:
        """The id of the run that was requested last."""
        return self._instance.get_runs(limit=1)[0].run_id

    def left_behind(self) -> list[str]:
        """What must not be there when all is done."""
        asked = sorted(self._in_inbox())
        return [f"still in the inbox: {asked}"] if asked else []

    def _look(self, now: Pass) -> set[str]:
        """Take in the state of things; what is in the inbox."""
        for received in self._heard(self.stage.hears_asked):
            message = _read(received)
            if message is None:
                now.poisoned += 1
            else:
                now.published[message.entity_id] = received.published_at
        waiting = self._in_inbox()
        records = ledger_of(self._instance, describe=metadata_of).records(ASSETS, now.asked)
        for entity in now.asked:
            known = [of[entity] for of in records.values() if entity in of]
            new = [record for record in known if (record.event_id or 0) > now.since]
            if any(record.failed for record in new):
                now.failed.add(entity)
            elif len(new) == len(ASSETS):
                now.materialised.add(entity)
        for received in self._heard(self.stage.hears_done):
            message = _read(received)
            assert message is not None
            # Our own entry, the last one: the moment it was sent, not the one we saw it.
            sent = message.audit_log[-1].at
            now.passed_on[message.entity_id] = sent - now.published[message.entity_id]
        now.dead = [each.reason for each in self._dead() if each.id not in now.known_dead]
        now.received |= waiting | now.materialised | now.failed | now.passed_on.keys()
        return waiting

    def _heard(self, name: str) -> Iterator[Received]:
        subscription = self._pubsub.subscription(name)
        while received := subscription.pull():
            subscription.acknowledge(received)
            yield from received

    def _in_inbox(self) -> set[str]:
        batches = list_batches(self._store, SENSOR)
        return {each.entity for b in batches for each in read_batch(self._store, b) or ()}

    def _dead(self) -> list[DeadLetter]:
        return [each for each in listed(self._store) if isinstance(each, DeadLetter)]


def table(passes: Sequence[Pass]) -> Table:
    """What came of the messages so far."""
    shown = Table(box=None, header_style="bold", pad_edge=False)
    shown.add_column("")
    for each in passes:
        shown.add_column(each.name, justify="right", min_width=8)
    shown.add_column("", style="dim")
    for name, meaning, told in _LINES:
        shown.add_row(name, *(told(each) for each in passes), meaning)
    return shown


_LINES: Sequence[tuple[str, str, Callable[[Pass], str]]] = (
    ("published", "messages on the topic", lambda p: str(len(p.published) + p.poisoned)),
    ("received", "are in the inbox, or further", lambda p: str(len(p.received) + len(p.dead))),
    ("materialised", "tracks, all three outputs recorded", lambda p: str(len(p.materialised))),
    ("skipped", "up to date", lambda p: str(len(p.skipped))),
    ("failed", "broken files; their messages are held", lambda p: str(len(p.failed))),
    ("dead-lettered", "kept, with the reason", lambda p: str(len(p.dead))),
    ("passed on", "to the topic of the next team", lambda p: str(len(p.passed_on))),
    ("latency, median", "from published to passed on", lambda p: _seconds(p.passed_on, median)),
    ("latency, longest", "", lambda p: _seconds(p.passed_on, max)),
)


def _seconds(delays: Mapping[str, float], of: Callable[[Iterable[float]], float]) -> str:
    return f"{of(delays.values()):.1f} s" if delays else ""


def _read(received: Received) -> Message | None:
    try:
        return decode(received.data, job=JobId("demo", "watch"))
    except MessageError:
        return None
