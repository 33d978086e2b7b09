"""One kill -9 of a real daemon, its code server or a run, and what became of every message."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import dagster as dg
import psutil

from tests.kill import points
from tests.kill.stream import Sent, Stream
from tests.kill.streamed_defs import WORKERS
from tests.services.waiting import wait_until

ROOT = Path(__file__).parents[2]
_LOCATION = """\
load_from:
  - python_module: {module_name: tests.kill.streamed_defs, location_name: streamed}
"""
_DIES_WITHIN_S = 90.0
_DONE_WITHIN_S = 180.0
_SERVES_CODE = "api grpc"
# Not more often: what is asked opens a ledger or reads all processes.
until = partial(wait_until, every_s=0.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """What one kill did, and what was found after it.

    Args:
        point: where.
        messages: how many were sent.
        in_ledger: entities that are recorded in the end.
        dead: dead letters in the end.
        passed_on: messages that went downstream.
        again: outputs that were computed once more than the kill before explains.
        unexplained: and those that nothing explains.
        lost: messages that were nowhere, right after the death or in the end.
        wrong: everything else.
    """

    point: str
    messages: int
    in_ledger: int
    dead: int
    passed_on: int
    again: int
    unexplained: Sequence[str]
    lost: Sequence[str]
    wrong: Sequence[str]

    @property
    def faults(self) -> list[str]:
        """Empty if all is well."""
        return [*self.unexplained, *self.lost, *self.wrong]


def killed_at(stream: Stream, point: str, messages: int = 50) -> Kill:
    """Send messages, kill at a point, start the daemon again, and look at every message.

    Args:
        stream: an empty one.
        point: of `points.TICK`, `points.RUN` or `points.DAEMON`.
        messages: how many, >= 10.
    """
    good = [f"e-{n}" for n in range(messages - 5)]
    stream.put(*good, "last")
    points.arm(stream.folder, point)
    with ExitStack() as daemons:
        daemons.enter_context(daemon_of(stream))
        ask(stream, good)
        until(lambda: points.has_died(stream.folder), _DIES_WITHIN_S, "nobody came to the point")
        if point not in points.RUN:  # of which the daemon knows nothing
            daemons.close()
            stream.let_leases_run_out()
        finished = stream.finished()
        lost, too_early = stream.lost(), stream.too_early()
        if point not in points.RUN:
            daemons.enter_context(daemon_of(stream))
        wrong = comes_to_its_end(stream, good)
    done = stream.executed()
    again = [pair for pair, n in done.items() if n > 1]
    unexplained = [p for p in again if p in finished or done[p] > 2 or point not in points.MID_RUN]
    if len(again) > WORKERS:
        unexplained = again
    told = stream.hear()
    wrong += [f"{entity} was passed on before it was recorded" for entity in too_early]
    wrong += [f"{path} is left" for path in stream.left_behind()]
    wrong += ["there is something in the topic"] if stream.in_topic() else []
    if set(told) - {"last"} != {*good, "pinged"}:
        wrong.append(f"passed on: {len(told)}")
    if {each.reason for each in stream.dead()} != {"undecodable"} or len(stream.dead()) != 2:
        wrong.append(f"dead letters: {[each.reason for each in stream.dead()]}")
    return Kill(
        point=point,
        messages=messages,
        in_ledger=len(stream.recorded() - {"last"}),
        dead=len(stream.dead()),
        passed_on=sum(told.values()) - told["last"],
        again=len(again),
        unexplained=[f"{asset} of {entity}" for asset, entity in unexplained],
        lost=[_named(sent) for sent in [*lost, *stream.lost()]],
        wrong=wrong,
    )


def ask(stream: Stream, good: Sequence[str]) -> None:
    """Good ones, two of them twice, one that is only passed on, and two that cannot be read."""
    stream.ask(*good, *good[:2])
    stream.ask("pinged", ping=True)
    stream.poison(2)


def comes_to_its_end(stream: Stream, good: Sequence[str]) -> list[str]:
    """Wait until all is done; then the claim of a run that died last is cleared by the next one."""

    def is_done() -> bool:
        return not stream.batches() and stream.recorded() >= set(good) and _are_finished(stream)

    try:
        until(is_done, _DONE_WITHIN_S, "it does not come to its end")
        if stream.left_behind():
            good = [*good, "last"]
            stream.ask("last")
            until(is_done, _DONE_WITHIN_S, "the last one does not come to its end")
    except AssertionError as error:
        return [str(error)]
    return []


def _are_finished(stream: Stream) -> bool:
    with stream.instance() as instance:
        live = dg.RunsFilter(statuses=[s for s in dg.DagsterRunStatus if s not in _ENDED])
        return all(run.is_finished or _has_died(run) for run in instance.get_runs(live))


_ENDED = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}


def _has_died(run: dg.DagsterRun) -> bool:
    """Killed with its code server: nobody reports it before the next run does."""
    return not any(run.run_id in " ".join(_command(each)) for each in psutil.process_iter())


def _command(process: psutil.Process) -> list[str]:
    with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
        return process.cmdline()
    return []


@contextmanager
def daemon_of(stream: Stream) -> Iterator["subprocess.Popen[bytes]"]:
    """A daemon while the block lasts; of what it started only the runs may outlive it."""
    (stream.folder / "workspace.yaml").write_text(_LOCATION)
    with (stream.folder / "said").open("ab") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.kill.daemon"],
            cwd=ROOT,
            env={**stream.environment, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
        )
    if not points.has_died(stream.folder) and points.armed_with(stream.folder) in points.TICK:
        points.die_too(stream.folder, [process.pid])
    servers: list[psutil.Process] = []
    try:
        until(lambda: _servers(process, servers), _DIES_WITHIN_S, "no code server")
        yield process
    finally:
        _servers(process, servers)
        for each in (process, *servers):
            with suppress(psutil.NoSuchProcess):
                each.kill()
        process.wait()


def _servers(daemon: "subprocess.Popen[bytes]", found: list[psutil.Process]) -> bool:
    with suppress(psutil.NoSuchProcess):
        for each in psutil.Process(daemon.pid).children():
            if _SERVES_CODE in " ".join(_command(each)) and each not in found:
                found.append(each)
    return bool(found) or daemon.poll() is not None


def _named(sent: Sent) -> str:
    return f"message {sent.number} of {sent.entity or 'nobody'}"
