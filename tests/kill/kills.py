"""One kill -9 at a random moment of a run, the run after it, and what must be true then.

The job counts its executions. What is done again must have been under way when something died.
"""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import psutil

from klio_dagster.codecs.hashing import data_version
from klio_dagster.codecs.json import Json
from klio_dagster.core.fold import read_lines
from klio_dagster.defs.metadata import metadata_of
from klio_dagster.ledger.ledger import Ledger, ledger_of
from klio_dagster.ledger.resume import fold_dead_runs
from klio_dagster.ledger.run_process import report_gone_runs
from klio_dagster.store.layout import output_path
from tests.flows.counted_catalogue import (
    ASSETS,
    BAD,
    START_UP_S,
    CountedCatalogue,
    processes_below,
)
from tests.flows.counted_defs import entities as partitions
from tests.flows.counted_jobs import executions
from tests.flows.served_counted import served_counted
from tests.kill.processes import still_alive
from tests.services.waiting import wait_until

DRIVER, WORKER = "klio_dagster.engine.driver", "klio_dagster.engine.worker"
OF_A_RUN = ("driver", "worker", "run worker", "all of the run")
SERVED = ("daemon", "web server", "everything")

_COMMANDS = {"daemon": "dagster._daemon", "web server": "dagster_webserver"}
_WORKERS = 2
_ENDED_S = 60.0
_TO_ONE_EXECUTION_S = 4.0  # about, from the start of a run worker
_FROM_THE_LAST_S = 1.5

Pair = tuple[str, str]
Processes = Sequence[psutil.Process]


@dataclass(frozen=True)
class Kill:
    """What one kill did, and what was found after it.

    Args:
        victim: what was killed.
        moment: when.
        killed: how many processes; 0 if the run had ended before.
        again: executions of what had been executed before.
        unexplained: those of them that nothing that died explains.
        torn: outputs whose bytes are not those of their value, after the kill or in the end.
        mismatches: records of the ledger whose output has another hash, or is not there.
        wrong: everything else that was found.
    """

    victim: str
    moment: str
    killed: int
    again: int
    unexplained: Sequence[Pair]
    torn: Sequence[str]
    mismatches: Sequence[Pair]
    wrong: Sequence[str]

    @property
    def faults(self) -> list[object]:
        """Empty if nothing was lost and nothing left behind."""
        return [*self.unexplained, *self.torn, *self.mismatches, *self.wrong]


def killed_once(folder: Path, number: int, victim: str, chance: random.Random) -> Kill:
    """Start a run over `number` entities, kill once, run again, and look at everything.

    Args:
        folder: an empty one.
        number: of entities, more than 13 of them, so that there is the bad one.
        victim: one of `OF_A_RUN` or `SERVED`.
        chance: decides the moment.
    """
    catalogue = CountedCatalogue(folder, [f"e-{n}" for n in range(number)])
    run = _served_run if victim in SERVED else _run
    with run(catalogue) as processes:
        moment = _wait_for_the_moment(catalogue, victim, chance, processes)
        killed = _kill(victim, processes())
    return _aftermath(catalogue, victim, moment, killed, is_folded_first=chance.random() < 0.5)


@contextmanager
def _run(catalogue: CountedCatalogue) -> Iterator[Callable[[], Processes]]:
    """The processes of a run worker; when the block ends, it is waited for."""
    run_worker = catalogue.start()
    seen: list[psutil.Process] = []

    def processes() -> Processes:
        with suppress(psutil.NoSuchProcess):
            seen[:] = [psutil.Process(run_worker.pid), *processes_below(run_worker)]
            return list(seen)
        return []

    try:
        yield processes
        run_worker.wait(_ENDED_S)
        assert still_alive(seen, within_s=3.0) == [], "processes live on"
    finally:
        run_worker.kill()
        run_worker.wait()


@contextmanager
def _served_run(catalogue: CountedCatalogue) -> Iterator[Callable[[], Processes]]:
    """The processes of `klio dev`, in which a run was launched and has begun."""
    with served_counted(catalogue) as served:
        served.launch()
        wait_until(lambda: executions(catalogue.log))
        below = served.below()
        yield lambda: [p for p in served.below() if p.is_running()]
        # It ends everything once a part of it has ended.
        served.process.wait(_ENDED_S)
        assert still_alive(below, within_s=3.0) == [], "processes live on"


def _wait_for_the_moment(
    catalogue: CountedCatalogue,
    victim: str,
    chance: random.Random,
    processes: Callable[[], Processes],
) -> str:
    """Wait for a random moment, and say which it was."""
    all_of_them = len(ASSETS) * len(catalogue.entities) - 1  # what depends on the bad one is not
    phase = "computing" if victim in SERVED else chance.choices(_PHASES, (3, 6, 2))[0]
    if phase == "starting":
        after_s = chance.uniform(0, _TO_ONE_EXECUTION_S)
        if victim in {"driver", "worker"}:
            _until(lambda: _victims(victim, processes()), processes)
            after_s /= 4
        time.sleep(after_s)
        return f"{after_s:.1f} s after its start"
    at_least = chance.randrange(1, all_of_them) if phase == "computing" else all_of_them
    _until(lambda: len(executions(catalogue.log)) >= at_least, processes)
    if phase == "computing":
        return f"at execution {at_least}"
    after_s = chance.uniform(0, _FROM_THE_LAST_S)
    time.sleep(after_s)
    return f"{after_s:.1f} s after the last execution"


_PHASES = ("starting", "computing", "ending")


def _until(is_so: Callable[[], object], processes: Callable[[], Processes]) -> None:
    wait_until(lambda: is_so() or not processes(), _ENDED_S)


def _victims(victim: str, processes: Processes) -> list[psutil.Process]:
    match victim:
        case "driver":
            return _named(DRIVER, processes)
        case "worker":
            return _named(WORKER, processes)[:1]
        case "run worker":
            return list(processes[:1])
        case "all of the run" | "everything":
            return list(processes)
        case _:
            return _named(_COMMANDS[victim], processes)


def _named(name: str, processes: Processes) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for process in processes:
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            if name in " ".join(process.cmdline()):
                found.append(process)
    return found


def _kill(victim: str, processes: Processes) -> int:
    killed = 0
    for process in _victims(victim, processes):
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
            killed += 1
    return killed


def _aftermath(
    catalogue: CountedCatalogue, victim: str, moment: str, killed: int, *, is_folded_first: bool
) -> Kill:
    """Run again, and compare what is there with what must be."""
    before = Counter(executions(catalogue.log))
    finished = _finished(catalogue)
    torn, wrong = _torn(catalogue), []
    if is_folded_first:
        wrong += _folded(catalogue, finished)
    ended = catalogue.start().wait(START_UP_S)
    if ended != 1:
        wrong.append(f"the next run ended with {ended}; the bad entity fails it")
    after = Counter(executions(catalogue.log))
    again = after - Counter(set(after))
    # What had failed is tried again, and what was under way in a worker that died.
    lost = {pair for pair in again if pair not in BAD}
    unexplained = [p for p in lost if p in finished or again[p] > 1]
    unexplained += [p for p in BAD if after[p] > 2 or (p[0] == "third" and after[p])]
    if len(lost) > _WORKERS:
        unexplained += sorted(lost)
    if set(after) != {(a, e) for a in ASSETS for e in catalogue.entities} - {("third", "e-13")}:
        wrong.append("not everything was computed")
    if any(after[pair] > before[pair] + 1 for pair in after):
        wrong.append("the next run computed something twice")
    torn += _torn(catalogue)
    mismatches, found = _looked_at(catalogue)
    return Kill(victim, moment, killed, again.total(), unexplained, torn, mismatches, wrong + found)


def _finished(catalogue: CountedCatalogue) -> set[Pair]:
    """What has a receipt, recorded or not; what failed has not been finished."""
    root = catalogue.store.local_path("_klio/receipts")
    assert root is not None
    parts = [read_lines(part.read_bytes()) for part in root.glob("*/*.jsonl")]
    done = {r.pair for part in parts for r in part.receipts if r.failure is None}
    with catalogue.instance() as instance:
        records = _ledger(instance).records(ASSETS, None)
    return done | {
        (asset, entity)
        for asset, known in records.items()
        for entity, record in known.items()
        if not record.failed
    }


def _folded(catalogue: CountedCatalogue, finished: set[Pair]) -> list[str]:
    """What the next run does first, and what Dagster shows then, before anything is computed."""
    with catalogue.instance() as instance:
        fold_dead_runs(catalogue.store, _ledger(instance), instance)
        report_gone_runs(instance)
        records = _ledger(instance).records(ASSETS, None)
        shown = _shown(instance, catalogue, dg.AssetPartitionStatus.FAILED)
    failed = {(a, e) for a in ASSETS for e, record in records[a].items() if record.failed}
    recorded = {(a, e) for a in ASSETS for e, record in records[a].items() if not record.failed}
    wrong = _left_behind(catalogue)
    if failed != shown:
        wrong.append(f"failed {sorted(failed)}, shown so {sorted(shown)}")
    if recorded != finished:
        wrong.append(f"finished and not recorded: {sorted(finished - recorded)}")
    return wrong


def _looked_at(catalogue: CountedCatalogue) -> tuple[list[Pair], list[str]]:
    """Records that are not true, and what else is wrong in the end."""
    mismatches: list[Pair] = []
    with catalogue.instance() as instance:
        records = _ledger(instance).records(ASSETS, catalogue.entities)
        shown = {
            status: _shown(instance, catalogue, status)
            for status in (dg.AssetPartitionStatus.FAILED, dg.AssetPartitionStatus.MATERIALIZED)
        }
    everything = {(asset, entity) for asset in ASSETS for entity in catalogue.entities}
    for asset, entity in everything - BAD:
        record = records[asset].get(entity)
        stored = catalogue.store.get_or_none(output_path(asset, entity, ".json"))
        is_true = record and stored and record.data_version == data_version(stored)
        if not is_true:
            mismatches.append((asset, entity))
    wrong = _left_behind(catalogue)
    if shown != {
        dg.AssetPartitionStatus.FAILED: BAD,
        dg.AssetPartitionStatus.MATERIALIZED: everything - BAD,
    }:
        wrong.append("Dagster shows other partitions failed and materialised")
    return mismatches, wrong


def _left_behind(catalogue: CountedCatalogue) -> list[str]:
    wrong = [f"{info.path} is left" for info in catalogue.store.list("_klio/open/")]
    with catalogue.instance() as instance:
        runs = instance.get_runs()
    return wrong + [f"run {r.run_id} is left {r.status.value}" for r in runs if not r.is_finished]


def _torn(catalogue: CountedCatalogue) -> list[str]:
    """Outputs that are not whole."""
    torn: list[str] = []
    for entity in catalogue.entities:
        for asset, value in zip(
            ASSETS, ({"id": entity}, {"second": entity}, {"third": entity}), strict=True
        ):
            path = output_path(asset, entity, ".json")
            stored = catalogue.store.get_or_none(path)
            if stored is not None and stored != Json().dump(value).data:
                torn.append(path)
    return torn


def _shown(
    instance: dg.DagsterInstance, catalogue: CountedCatalogue, status: dg.AssetPartitionStatus
) -> set[Pair]:
    """The partitions that Dagster shows so."""
    with dg.partition_loading_context(dynamic_partitions_store=instance):
        return {
            (asset, entity)
            for asset in ASSETS
            for entity, shown in (
                instance.get_status_by_partition(dg.AssetKey(asset), catalogue.entities, partitions)
                or {}
            ).items()
            if shown == status
        }


def _ledger(instance: dg.DagsterInstance) -> Ledger:
    return ledger_of(instance, describe=metadata_of)
