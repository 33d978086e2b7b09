"""Transforms of the flows; worker processes import them by name."""

import os
import signal
import sys
import time
from typing import Any

from klio_dagster.audio.clip import AudioClip
from klio_dagster.core.check import CheckResult
from klio_dagster.core.entity import Entity, Result


def named(entity: Entity, version: int = 1) -> dict[str, Any]:
    return {"id": entity.id, "version": version}


def text(entity: Entity, source: bytes) -> dict[str, Any]:
    """Fails for a source that says `bad`."""
    if source == b"bad":
        raise ValueError("it says\nbad")
    return {"id": entity.id, "text": source.decode()}


def stripped(entity: Entity, source: bytes) -> dict[str, Any]:
    """What does not depend on white space around the text."""
    return {"id": entity.id, "text": source.decode().strip()}


def length(recording: dict[str, Any], factor: int = 1) -> dict[str, int]:
    return {"n": factor * len(str(recording))}


def report(entity: Entity, recording: dict[str, Any], mel: dict[str, int]) -> dict[str, Any]:
    return {"id": entity.id, "n": mel["n"], "of": recording}


def clip(source: AudioClip) -> AudioClip:
    return source


def loudest(recording: AudioClip) -> dict[str, Any]:
    return {"channels": recording.samples.shape[0], "frames": recording.samples.shape[1]}


def with_weight(recording: dict[str, Any], weights: object = None) -> dict[str, Any]:
    """`weights` is not partitioned, so it is not loaded."""
    return {"recording": recording, "weights": weights}


def halved(recording: dict[str, Any]) -> list[str]:
    """A step: it is passed on and never stored."""
    return [recording["text"][::2]]


def joined(halved: list[str], separator: str = "-") -> Result:
    return Result(
        {"text": separator.join(halved)},
        metadata={"letters": sum(map(len, halved)), "score": 0.5, "is_short": True},
        figures={"dot": b"\x89PNG"},
    )


class Counting:
    """Set up once a worker: counts what it was asked since."""

    def __init__(self, start: int) -> None:
        self.start = start
        self.setups = 0

    def setup(self) -> None:
        self.setups += 1

    def __call__(self, entity: Entity, step: int = 1) -> dict[str, int]:
        return {"setups": self.setups, "start": self.start, "step": step}


UNHEARD_OF = "Überlauf" + "In" * 40 + "Error"
"""Any identifier names a class: of any length, in any alphabet."""


def raise_unheard_of() -> None:
    raise type(UNHEARD_OF, (Exception,), {})("what no tag of Dagster can be called")


def misbehaves(entity: Entity, source: bytes) -> object:
    """Does what its source names."""
    deeds = {
        b"raise": lambda: 1 / 0,
        b"none": lambda: None,
        b"wrong type": lambda: {1, 2},
        b"exit": lambda: sys.exit("enough"),
        b"die": lambda: os._exit(7),
        b"never return": lambda: time.sleep(600),
        b"raise something unheard of": raise_unheard_of,
        b"die of an unnamed signal": lambda: os.kill(os.getpid(), signal.SIGRTMIN + 3),
    }
    if source == b"print":
        print("chatter " * 500_000, flush=True)
    return deeds[source]() if source in deeds else {"id": entity.id}


def is_long(value: dict[str, Any], least: int = 6) -> CheckResult:
    """A text has at least so many letters."""
    letters = len(value["text"])
    return CheckResult(letters >= least, {"letters": letters}, f"{letters} letters")


def is_even(value: dict[str, int]) -> bool:
    return value["n"] % 2 == 0


def is_named(value: dict[str, Any], entity: Entity) -> bool:
    """The text's id is the entity's."""
    return value["id"] == entity.id


def pictured(recording: dict[str, Any]) -> Result:
    return Result({"n": len(recording["text"])}, figures={"dot": b"\x89PNG"})
