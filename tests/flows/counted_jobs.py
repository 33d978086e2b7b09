"""Transforms that write down each execution, so that tests can count them."""

import os
import time
from pathlib import Path

from klio_dagster.core.entity import Entity

LOG = "KLIO_TEST_EXECUTIONS"
SLOWNESS = "KLIO_TEST_SLOWNESS_S"


def _counted(asset: str, entity: Entity) -> None:
    file = os.open(os.environ[LOG], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{asset} {entity.id}\n".encode())
    os.close(file)
    time.sleep(float(os.environ.get(SLOWNESS, "0.004")))


def first(entity: Entity) -> dict[str, str]:
    """Depends on nothing."""
    _counted("first", entity)
    return {"id": entity.id}


def second(entity: Entity, first: dict[str, str]) -> dict[str, str]:
    """Fails for the one bad entity."""
    _counted("second", entity)
    if entity.id == "e-13":
        raise ValueError("unlucky")
    return {"second": first["id"]}


def third(entity: Entity, second: dict[str, str]) -> dict[str, str]:
    """The end of the chain."""
    _counted("third", entity)
    return {"third": second["second"]}


def executions(log: Path) -> list[tuple[str, str]]:
    """(asset, entity) of every execution so far."""
    if not log.exists():
        return []
    return [(line.split(" ")[0], line.split(" ")[1]) for line in log.read_text().splitlines()]
