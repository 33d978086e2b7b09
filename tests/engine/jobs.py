"""Transforms for the engine's tests; worker processes import them by name."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

from klio_dagster.core.entity import Entity, Result


def number(entity: Entity) -> dict[str, int]:
    return {"n": int(entity.id.rpartition("-")[2])}


def doubled(first: dict[str, int]) -> dict[str, int]:
    return {"n": 2 * first["n"]}


def length(first: dict[str, int]) -> dict[str, int]:
    return {"n": len(str(first["n"]))}


def text_of(source: bytes) -> dict[str, str]:
    return {"text": source.decode()}


def scaled(entity: Entity, first: dict[str, int], factor: int, *, plus: int = 1) -> dict[str, int]:
    return {"n": first["n"] * factor + plus}


def with_metadata(entity: Entity) -> Result:
    return Result({"id": entity.id}, metadata={"score": np.float32(0.5)}, figures={"dot": b"png"})


def ramp(entity: Entity) -> np.ndarray:
    return np.arange(6, dtype=np.float32).reshape(2, 3)


def changes_its_input(values: np.ndarray) -> np.ndarray:
    values += 1
    return values


def total(values: np.ndarray) -> dict[str, float]:
    return {"total": float(values.sum())}


def counted_list(entity: Entity) -> list[int]:
    return [1, 2, 3]


def takes_from_list(numbers: list[int]) -> dict[str, int]:
    return {"last": numbers.pop(), "left": len(numbers)}


class Model:
    """Counts how often it was set up in this process."""

    setups = 0

    def __init__(self, offset: int = 0) -> None:
        self.offset = offset

    def setup(self) -> None:
        Model.setups += 1

    def __call__(self, entity: Entity, weight: int = 1) -> dict[str, int]:
        return {"pid": os.getpid(), "setups": Model.setups, "sum": self.offset + weight}


def bad_for(kind: str) -> Callable[[], object]:
    """What a bad entity does to its worker."""

    def leave_a_child() -> None:
        subprocess.Popen(["sleep", "60"])
        os._exit(5)

    return {
        "raise": lambda: 1 / 0,
        "exit": lambda: sys.exit(4),
        "os-exit": lambda: os._exit(3),
        "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
        "segfault": lambda: os.kill(os.getpid(), signal.SIGSEGV),
        "realtime": lambda: os.kill(os.getpid(), signal.SIGRTMIN + 3),
        "hang": lambda: time.sleep(60),
        "none": lambda: None,
        "wrong-type": lambda: {1, 2},
        "child": leave_a_child,
    }[kind]


def shows_badly(entity: Entity) -> Result:
    return Result({"n": 0}, figures={"plot": "no bytes"})  # pyright: ignore[reportArgumentType]


class UnsayableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def raises_the_unsayable(entity: Entity) -> None:
    raise UnsayableError


def forks_and_dies(entity: Entity) -> dict[str, int]:
    """The child holds the worker's pipes open, in a group of its own."""
    if entity.id != "bad-1":
        return {"n": 0}
    child = os.fork()
    if child == 0:
        os.setsid()
        time.sleep(600)
        os._exit(0)
    print(f"child {child}.", flush=True)
    time.sleep(0.2)  # until that is read
    os._exit(3)


def prints_a_word(entity: Entity) -> dict[str, int]:
    print(f"hello from {entity.id}")
    return {"n": 0}


def sometimes_bad(entity: Entity, first: dict[str, int]) -> object:
    kind, _, _ = entity.id.rpartition("-")
    if kind == "print":
        print("x" * 5_000_000)
        return {"n": 0}
    return {"n": 0} if kind == "good" else bad_for(kind)()


def slow(entity: Entity) -> dict[str, int]:
    time.sleep(0.2)
    return {"pid": os.getpid()}


def dies_after(entity: Entity, slow: dict[str, int]) -> dict[str, int]:
    os._exit(3)


def with_bad(bad: dict[str, int]) -> dict[str, int]:
    return bad


def waits_for_a_child(entity: Entity) -> dict[str, int]:
    """As a transform that calls ffmpeg does; the first entity is done at once."""
    subprocess.run(["sleep", "0" if entity.id == "e-0" else "77"], check=True)
    return {"pid": os.getpid()}


def spins(entity: Entity) -> dict[str, int]:
    """Native code that does not let go of the interpreter's lock for a while."""
    sum(range(50_000_000))
    return {"pid": os.getpid()}
