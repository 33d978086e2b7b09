"""A project that messages ask for, served by Dagster with its daemon, beside the emulator."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import dagster as dg
import psutil

from benchmarks.project import Project
from benchmarks.range_run import ask, served
from klio_dagster.message import encode, new_message
from klio_dagster.pubsub.publish import Outgoing, Publisher
from klio_dagster.pubsub.pull import Subscription
from klio_dagster.pubsub.settings import Settings
from tests.services.pubsub import PubSubEmulator, program

LONGEST_S = 900.0
LARGE_BATCHES = "max_messages=5000,"
_DEFINITIONS = """
import dagster as dg
from benchmarks.no_op_jobs import nothing
from klio_dagster import (
    EntityAsset, Json, KlioPubSubResource, KlioResource, build_klio_pubsub_sensor, klio_assets
)

@klio_assets(
    partitions_def=dg.DynamicPartitionsDefinition(name="entities"),
    assets=[EntityAsset("done", nothing, output=Json())],
    publish_to="done",
    max_entities_per_run=5000,
)
def no_op(context: dg.AssetExecutionContext, klio: KlioResource):
    yield from klio.run(context=context)

pubsub = KlioPubSubResource(project="klio-tests", emulator_host={host!r})
defs = dg.Definitions(
    assets=[no_op],
    sensors=[
        build_klio_pubsub_sensor(
            assets=no_op,
            subscription="asked",
            default_status=dg.DefaultSensorStatus.{status},
            {options}
        ),
        dg.SensorDefinition(
            name="nothing",
            job_name="nothing",
            evaluation_fn=lambda _: dg.SkipReason("nothing"),
            minimum_interval_seconds=1,
            default_status=dg.DefaultSensorStatus.{nothing},
        ),
    ],
    jobs=[dg.define_asset_job("nothing", [no_op])],
    resources={{"klio": KlioResource(store="data", pubsub=pubsub)}},
    executor=dg.in_process_executor,
)
"""
_STOCK = "telemetry: {enabled: false}\nnux: {enabled: false}\n"


@contextmanager
def emulated() -> Iterator[PubSubEmulator]:
    """The emulator, for as long as the block lasts.

    Raises:
        RuntimeError: it is not installed.
    """
    command = program("2g")  # it forgets no message
    if command is None:
        raise RuntimeError("the Pub/Sub emulator is not installed")
    emulator = PubSubEmulator(command)
    try:
        emulator.start()
        yield emulator
    finally:
        emulator.remove()


class Streamed:
    """A no-op project, the topic on which it is asked, and what it tells.

    Args:
        folder: made new.
        emulator: where the topics are made.
        is_stock: Dagster's own settings and storage, not those of `klio dev`.
        options: of the sensor.
        is_on: whether the sensor ticks.
        with_nothing: whether another one ticks, which does nothing.
    """

    def __init__(
        self,
        folder: Path,
        emulator: PubSubEmulator,
        *,
        is_stock: bool = False,
        options: str = "",
        is_on: bool = True,
        with_nothing: bool = False,
    ) -> None:
        self.settings = Settings(emulator.project, emulator_host=emulator.host)
        self._asked = emulator.new_topic("asked")
        emulator.new_subscription(self._asked, "asked", ack_deadline_seconds=60)
        told = emulator.new_subscription(emulator.new_topic("done"), "told")
        self.told = Subscription(self.settings, told)
        ours, nothing = ("RUNNING" if ticks else "STOPPED" for ticks in (is_on, with_nothing))
        definitions = _DEFINITIONS.format(
            host=emulator.host, options=options, status=ours, nothing=nothing
        )
        self.project = Project(folder, definitions)
        home = folder / ".klio"
        home.mkdir()
        self.home = home
        self._environment: Mapping[str, str] = {"DAGSTER_EVENT_BATCH_SIZE": "0"} if is_stock else {}
        if is_stock:
            (home / "dagster.yaml").write_text(_STOCK)
        else:
            (home / "dagster.yaml").unlink(missing_ok=True)

    @contextmanager
    def served(self) -> Iterator[str]:
        """Dagster with its daemon; the address of its pages."""
        with served(self.project.folder, self._environment) as url:
            ask(url, "{ version }", {})
            yield url

    def ask_for(self, *entities: str) -> None:
        """Publish a message for each of them."""
        messages = [Outgoing(encode(new_message(entity))) for entity in entities]
        Publisher(self.settings).publish(self._asked, messages)

    def instance(self) -> dg.DagsterInstance:
        """Dagster's, of the project."""
        return dg.DagsterInstance.from_config(str(self.home))

    def followed(self, number: int, longest_s: float = LONGEST_S) -> dict[str, float]:
        """Entity to when it was passed on first, once there are so many of them.

        Raises:
            RuntimeError: they did not come.
        """
        from klio_dagster.core.job import JobId
        from klio_dagster.message import decode

        told: dict[str, float] = {}
        end = time.monotonic() + longest_s
        while len(told) < number:
            received = self.told.pull(1000)
            self.told.acknowledge(received)
            for each in received:
                entity = decode(each.data, job=JobId("klio-tests", "no_op")).entity_id
                told.setdefault(entity, each.published_at)
            if time.monotonic() > end:
                raise RuntimeError(f"{len(told)} of {number} were passed on in {longest_s:.0f} s")
            if not received:
                time.sleep(0.1)
        return told


def served_process() -> psutil.Process | None:
    """The `klio dev` that this process has started."""
    for child in psutil.Process().children():
        with suppress(psutil.Error):
            if "dev" in child.cmdline():
                return child
    return None


def cpu_s(pid: int) -> dict[str, float]:
    """CPU seconds of a process and all below it, by what they are."""
    spent: dict[str, float] = {}
    root = psutil.Process(pid)
    for process in [root, *root.children(recursive=True)]:
        try:
            times, line = process.cpu_times(), " ".join(process.cmdline())
        except psutil.Error:
            continue
        name = next((n for n in ("webserver", "daemon", "grpc") if n in line), "other")
        spent[name] = spent.get(name, 0.0) + times.user + times.system
    return spent
