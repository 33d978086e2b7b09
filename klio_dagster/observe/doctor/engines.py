"""Whether what executes the pipeline can be started, by kind of engine."""

import json
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from klio_dagster.core.manifest import Manifest
from klio_dagster.core.size import shown_bytes
from klio_dagster.engine.launch import carry_out
from klio_dagster.engine.options import LOCAL, RemoteOptions, engine_options, usable_cores
from klio_dagster.engine.probe import TRANSFORMS
from klio_dagster.engine.remote.place import uses_this_environment
from klio_dagster.errors import ConfigError
from klio_dagster.observe.doctor.children import (
    ChildFailedError,
    ChildTooSlowError,
    child,
    probed,
)
from klio_dagster.observe.doctor.examine import Check
from klio_dagster.observe.doctor.finding import About, Finding, Verdict
from klio_dagster.store.layout import manifest_head, manifest_part
from klio_dagster.store.store import Store

_TRIAL = "klio-doctor"
_MEMINFO = Path("/proc/meminfo")
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")
_BEAM = "import klio_dagster.engine.beam.pipeline, klio_dagster.engine.beam.runners"
_ASK = ("-m", "klio_dagster.engine.remote.ask")
_BESIDES_S = 5.0  # a process that takes too long is ended, and that is said, before the check is
_SILENT = (
    "see that the service answers, and that this machine is not busy; --timeout gives it longer"
)
_INSTALL = "install klio-dagster again, with what it depends on, for the interpreter that runs it"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineInUse:
    """An engine of the project.

    Args:
        options: as they stand in a manifest, `kind` among them.
        memory: asset key to the bytes that its worker may hold; those with a limit.
        transforms: references of what workers import.
        is_deep: whether a driver may be started, and the transforms be imported.
        within_s: how long each process may take, in seconds.
    """

    options: Mapping[str, Any]
    memory: Mapping[str, int]
    transforms: Sequence[str]
    is_deep: bool
    within_s: float


def engine_check(engine: EngineInUse) -> Check:
    """What is to be looked at."""
    kind = str(engine.options.get("kind"))
    about = About("engine", kind)
    look = LOOKS.get(kind)
    needs_s = _processes(engine) * engine.within_s + _BESIDES_S
    return Check(about, "start", lambda: look(about, engine) if look else _unknown(about), needs_s)


def look_at_local(about: About, engine: EngineInUse) -> Generator[Finding]:
    """This machine: its cores and memory, and whether drivers and workers start.

    Args:
        about: the engine.
        engine: with its options.

    Raises:
        ConfigError: its options are wrong.
    """
    options = engine_options(engine.options)
    yield _cores(about, options.workers)
    yield _memory(about, options.workers, engine.memory, memory_of_machine())
    worker = ["-m", "klio_dagster.engine.worker"]  # ends at once: its input is closed
    yield _started(about, "worker", worker, engine.within_s)
    yield _started(about, "driver", ["-c", _BEAM], engine.within_s)
    if engine.is_deep:
        yield from _deep(about, engine)


def look_at_service(about: About, engine: EngineInUse) -> Generator[Finding]:
    """A service elsewhere: it is asked by a process that loads Beam.

    Args:
        about: the engine.
        engine: with its options.
    """
    failed: ChildFailedError | None = None
    try:
        said = child(
            [*_ASK, json.dumps(dict(engine.options)), str(engine.within_s)], engine.within_s
        )
    except ChildFailedError as error:
        said, failed = error.printed, error
    for line in said.splitlines(keepends=True):
        if line.endswith("\n"):  # none that was cut off
            answer = json.loads(line)
            told = answer | {"verdict": Verdict(answer["verdict"])}
            yield Finding(subject=about.subject, where=about.where, **told)
    if failed:
        is_slow = isinstance(failed, ChildTooSlowError)
        remedy = _SILENT if is_slow else "mend what it names, or report it with this line"
        yield about.fail("service", str(failed), remedy)
    if _imports_here(engine):
        yield _transforms(about, engine)


LOOKS: Mapping[str, Callable[[About, EngineInUse], Generator[Finding]]] = {
    "local": look_at_local,
    "dataflow": look_at_service,
    "flink": look_at_service,
    "portable": look_at_service,
    "prism": look_at_service,
}


def memory_of_machine(meminfo: Path = _MEMINFO, limit: Path = _CGROUP_LIMIT) -> int | None:
    """Bytes that all processes here may have together; None where nobody can tell.

    Args:
        meminfo: as in proc(5).
        limit: of the container, if we are in one.
    """
    try:
        lines = meminfo.read_text(encoding="utf-8").splitlines()
        total = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemTotal:"))
    except (OSError, StopIteration, ValueError):
        return None
    try:
        return min(total, int(limit.read_text(encoding="utf-8")))
    except (OSError, ValueError):  # no container, or one without a limit: "max"
        return total


def _processes(engine: EngineInUse) -> int:
    """How many are started, one after the other, each of which may take its time."""
    if engine.options.get("kind") != LOCAL:
        return 2 if _imports_here(engine) else 1  # who asks; what imports the transforms
    return 4 if engine.is_deep else 2  # worker, driver; a run of nothing, the transforms


def _imports_here(engine: EngineInUse) -> bool:
    """Whether the workers of a service have this machine's environment, and we may look at it."""
    try:
        options = engine_options(engine.options)
    except ConfigError:  # who asks the service says so
        return False
    return engine.is_deep and isinstance(options, RemoteOptions) and uses_this_environment(options)


def _unknown(about: About) -> Generator[Finding]:
    said = "this version does not know how to look at it"
    yield about.warn("start", said, "run a few entities on it: klio run ENTITY")


def _cores(about: About, workers: int) -> Finding:
    cores = usable_cores()
    figures = {"workers": workers, "cores": cores}
    if workers > cores:
        said = f"{workers} workers on {cores} cores: they only wait for each other"
        return about.warn("cores", said, "set workers to the number of cores", **figures)
    return about.ok("cores", f"{workers} workers on {cores} cores", **figures)


def _memory(about: About, workers: int, limits: Mapping[str, int], total: int | None) -> Finding:
    if total is None or not limits:
        return about.ok("memory", "no asset has a limit" if not limits else "", total_bytes=total)
    asset, most = max(limits.items(), key=lambda each: each[1])
    figures = {"total_bytes": total, "most_bytes_a_worker": most}
    said = f"{workers} workers of up to {shown_bytes(most)} ('{asset}') in {shown_bytes(total)}"
    if workers * most <= total:
        return about.ok("memory", said, **figures)
    remedy = "set fewer workers, or a smaller `memory` of the asset; else the system ends one"
    return about.warn("memory", said, remedy, **figures)


def _started(about: About, what: str, arguments: Sequence[str], within_s: float) -> Finding:
    started = time.perf_counter()
    try:
        child(arguments, within_s)
    except ChildFailedError as error:
        return about.fail(what, str(error), error.remedy or _INSTALL)
    took_s = time.perf_counter() - started
    return about.ok(what, f"starts in {took_s:.1f} s", start_s=round(took_s, 3))


def _deep(about: About, engine: EngineInUse) -> Generator[Finding]:
    """A driver that has nothing to do, and the project's modules in a worker.

    Raises:
        RunError: the driver ended badly.
        ConfigError: the engine's options are wrong.
    """
    started = time.perf_counter()
    with TemporaryDirectory(prefix="klio-doctor-") as folder:
        store = Store.open(folder)
        part = manifest_part(_TRIAL, 0)
        options = {**engine.options, "spares": None}
        head = Manifest(run=_TRIAL, store=store.url, parts=[part], chain=[], engine=options)
        store.put(part, b"")
        store.put(manifest_head(_TRIAL), head.to_json().encode())
        carry_out(head, store, on_receipts=lambda _: None, on_output=lambda _: None)
    took_s = time.perf_counter() - started
    said = f"a run of nothing takes {took_s:.1f} s"
    yield about.ok("pipeline", said, pipeline_s=round(took_s, 3))
    yield _transforms(about, engine)


def _transforms(about: About, engine: EngineInUse) -> Finding:
    """The project's modules, imported as by a worker that has this environment."""
    try:
        refused = probed([TRANSFORMS, *engine.transforms], engine.within_s)
    except ChildFailedError as error:
        remedy = error.remedy or "mend the module that it names"
        return about.fail("transforms", str(error), remedy)
    if refused:
        reference, why = next(iter(refused.items()))
        said = f"{len(refused)} of {len(engine.transforms)} cannot be imported: {reference}: {why}"
        return about.fail("transforms", said, "install what it needs for the workers as well")
    return about.ok("transforms", f"{len(engine.transforms)} can be imported")
