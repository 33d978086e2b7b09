"""Transforms that fail, eat, and leave things behind; worker processes import them by name."""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from klio_dagster.core.entity import Entity

Values = list[dict[str, Any]]


class Busy(Exception):
    """What a service raises."""


def says_again(error: Exception) -> bool:
    return "again" in str(error)


def knows_nothing(error: Exception) -> bool:
    raise RuntimeError("what is this")


def named(entity: Entity) -> dict[str, str]:
    return {"id": entity.id}


def of_first(first: dict[str, str]) -> dict[str, str]:
    return {"of": first["id"]}


def fails_at_first(entity: Entity, folder: str, times: int) -> dict[str, str]:
    """Counts its calls in a file, and raises so often; `bad` entities always."""
    calls = called(folder, entity)
    if calls <= times or entity.id.startswith("bad"):
        raise ConnectionError(f"call {calls} of {entity.id}")
    return {"id": entity.id}


def busy(entity: Entity, folder: str) -> dict[str, str]:
    if called(folder, entity) == 1:
        raise Busy("come again")
    return {"id": entity.id}


def busy_then_dies(entity: Entity, folder: str) -> dict[str, str]:
    if called(folder, entity) == 1:
        raise ConnectionError("come again")
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def dies_at_first(entity: Entity, folder: str) -> dict[str, str]:
    if called(folder, entity) == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"id": entity.id}


def called(folder: str, entity: Entity) -> int:
    with (Path(folder) / entity.id).open("a") as calls:
        calls.write("x")
    return (Path(folder) / entity.id).stat().st_size


# ------------------------------------------------------------------ poison


def poison(entity: Entity, first: dict[str, str]) -> dict[str, Any]:
    """Does what its id names; anything else is computed."""
    deed = globals().get(f"_{entity.id.partition('-')[0]}")
    if deed is not None:
        deed()
    return {"pid": os.getpid()}


def _segfault() -> None:
    ctypes.string_at(1)


def _osexit() -> None:
    os._exit(9)


def _eats() -> None:
    held = []
    while True:
        held.append(np.ones(10_000_000 // 8))
        time.sleep(0.002)


def _childeats() -> None:
    code = "import time; held = bytearray(700_000_000); time.sleep(60)"
    subprocess.run([sys.executable, "-c", code], check=True)


def _deaf() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        time.sleep(1)


def _prints() -> None:
    block = "x" * 1_000_000
    for _ in range(100):
        sys.stdout.write(block)
    sys.stdout.flush()


def _printsanddies() -> None:
    _prints()
    os._exit(8)


def _threads() -> None:
    for _ in range(200):
        threading.Thread(target=time.sleep, args=(600,)).start()


def _forks() -> None:
    """Both go on, as if there were one."""
    os.fork()


def _leaves() -> None:
    """A child, one in a session of its own, and one whose parent has ended."""
    script = "setsid sleep 611 & sleep 612 & (sleep 613 &) ; echo left"
    subprocess.run(["sh", "-c", script], check=True)
    subprocess.Popen(["sleep", "614"])


class WithServer:
    """Starts a process that is to stay, in every worker."""

    def setup(self) -> None:
        self.server = subprocess.Popen(["sleep", "615"])

    def __call__(self, entity: Entity) -> dict[str, Any]:
        return {"pid": os.getpid(), "is_alive": self.server.poll() is None}


def forks_while_large(entity: Entity) -> dict[str, Any]:
    """Holds 300 MB, which its child shares: together 300 MB, and not 600."""
    held = np.ones(300_000_000 // 8)
    child = os.fork()
    if child == 0:
        time.sleep(1.2)
        os._exit(0)
    os.waitpid(child, 0)
    return {"n": int(held[:3].sum())}


_leak: list[np.ndarray] = []


def leaks(entity: Entity) -> dict[str, Any]:
    _leak.append(np.ones(60_000_000 // 8))
    time.sleep(0.1)
    return {"pid": os.getpid()}


def uses_much_for_a_moment(entity: Entity) -> dict[str, Any]:
    sums = [np.ones(100_000 // 8).sum() for _ in range(10)]
    held = [np.ones(100_000 // 8) for _ in range(2_500)]
    time.sleep(0.1)
    return {"n": len(sums) + len(held)}


def rests(entity: Entity) -> dict[str, str]:
    time.sleep(0.2)
    return {"id": entity.id}


# ------------------------------------------------------------------ batches


def one(entity: Entity, first: dict[str, str], mark: str = "") -> dict[str, Any]:
    return _marked(entity, first, mark)


def together(entities: list[Entity], first: Values, mark: str = "") -> Values:
    """The same for many; says how many it got."""
    print(f"batch of {len(entities)}", flush=True)
    return [_marked(e, f, mark) for e, f in zip(entities, first, strict=True)]


def _marked(entity: Entity, first: dict[str, str], mark: str) -> dict[str, Any]:
    return {"id": entity.id, "first": first["id"], "mark": mark}


def together_unless_bad(entities: list[Entity], first: Values) -> Sequence[Any]:
    """A batch with a bad one fails as its name says."""
    for entity in entities:
        match entity.id.partition("-")[0]:
            case "raises":
                raise ValueError(f"{entity.id} is bad")
            case "dies":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "hangs":
                time.sleep(60)
            case "short":
                return [{"n": 0}] * (len(entities) - 1)
            case "unsayable":
                return [{1} if e.id == entity.id else {"n": 0} for e in entities]
            case _:
                pass
    return [{"n": len(entities)} for _ in entities]


def flaky_together(entities: list[Entity], folder: str) -> Values:
    """The first call raises something transient."""
    calls = called(folder, Entity("calls"))
    if calls == 1:
        raise ConnectionError("reset")
    return [{"of": len(entities)} for _ in entities]


def clips_together(source: "list[bytes]") -> Values:
    return [{"text": each.decode()} for each in source]


def not_a_list(entities: list[Entity]) -> Any:
    return {"n": 0}


def lengths(entities: list[Entity], first: Values) -> Values:
    return [{"n": len(entities)} for _ in entities]


def of_batch(batch: dict[str, int]) -> dict[str, int]:
    return {"n": batch["n"]}


def of_made(made: dict[str, str]) -> dict[str, str]:
    return made


def of_poison(poison: dict[str, Any]) -> dict[str, Any]:
    return poison


def named_unless_bad(entity: Entity) -> dict[str, str]:
    if entity.id == "bad":
        raise ValueError("bad")
    return {"id": entity.id}


def eats_for_each(entities: list[Entity]) -> Values:
    held = []
    for _ in entities:
        held.append(np.ones(100_000_000 // 8))
        time.sleep(0.1)
    return [{"n": int(each[:2].sum())} for each in held]
