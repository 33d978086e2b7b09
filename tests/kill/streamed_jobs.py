"""Transforms that write down each execution, and at one of them kill a process of their run."""

import os
import signal
from pathlib import Path

import psutil

from klio_dagster.core.entity import Entity
from tests.kill import points
from tests.kill.kills import DRIVER

EXECUTIONS = "executions"


def _counted(asset: str, entity: str) -> None:
    folder = Path(os.environ[points.FOLDER])
    file = os.open(folder / EXECUTIONS, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{asset} {entity}\n".encode())
    os.close(file)
    point = points.armed(folder)
    if point is None or point.at not in {points.A_WORKER, points.THE_DRIVER}:
        return
    if (folder / EXECUTIONS).read_bytes().count(b"\n") >= point.nth and points.disarmed(folder):
        os.kill(os.getpid() if point.at == points.A_WORKER else _driver(), signal.SIGKILL)


def _driver() -> int:
    above = psutil.Process().parents()
    return next(each.pid for each in above if DRIVER in each.cmdline())


def text(entity: Entity, source: bytes) -> dict[str, str]:
    """Fails for a source that says `bad`."""
    _counted("recording", entity.id)
    if source == b"bad":
        raise ValueError("it says bad")
    return {"id": entity.id, "text": source.decode()}


def length(entity: Entity, recording: dict[str, str]) -> dict[str, int]:
    _counted("mel", entity.id)
    return {"n": len(recording["text"])}


def report(entity: Entity, mel: dict[str, int]) -> dict[str, str]:
    _counted("report", entity.id)
    return {"id": entity.id, "n": str(mel["n"])}


def executions(folder: Path) -> list[tuple[str, str]]:
    """(asset, entity) of every execution so far."""
    log = folder / EXECUTIONS
    lines = log.read_text().splitlines() if log.exists() else []
    return [(line.split(" ")[0], line.split(" ")[1]) for line in lines]
