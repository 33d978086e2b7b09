"""A driver that waits for the next run's manifest, and what it may not change."""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import psutil
import pytest

from klio_dagster.codecs.json import Json
from klio_dagster.core.asset import EntityAsset
from klio_dagster.defs.engines import SPARES
from klio_dagster.engine import local
from tests.flows import flow_jobs as jobs
from tests.flows.catalogue import Catalogue, group, opened

LONGEST_S = 30.0


@pytest.fixture
def spares(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = Path(mkdtemp(prefix="klio-"))  # as `klio dev` does: a socket's path must be short
    monkeypatch.setenv(SPARES, str(folder))
    yield folder
    left = waiting(folder)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    psutil.wait_procs(left, LONGEST_S)
    assert waiting(folder) == [], "it ends when its folder is gone"


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    with opened(tmp_path) as catalogue:
        yield catalogue


def waiting(folder: Path) -> list[psutil.Process]:
    """The spare drivers of a folder."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if any(part.startswith(f"{folder}/") for part in process.info["cmdline"] or [])
    ]


def wait_for_one(folder: Path) -> Path:
    end = time.monotonic() + LONGEST_S
    while True:
        if found := list(folder.glob("*")):
            return found[0]
        assert time.monotonic() < end, "no spare driver waits"
        time.sleep(0.05)


def counted(catalogue: Catalogue, *entities: str):
    catalogue.register(*entities)
    assets = group(EntityAsset("named", jobs.named, output=Json()))
    return catalogue.run(assets, entities=list(entities)).counts("materialized")


def test_the_next_run_takes_the_driver_that_the_last_one_left(
    spares: Path, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted(catalogue, "a")
    wait_for_one(spares)
    taken: list[object] = []
    take = local.take
    monkeypatch.setattr(local, "take", lambda *of: taken.append(take(*of)) or taken[-1])

    assert counted(catalogue, "b", "c") == {"named": 2}

    assert taken != [None]
    assert catalogue.load("named/b.json") == {"id": "b", "version": 1}


def test_a_driver_with_another_environment_is_not_taken(
    spares: Path, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted(catalogue, "a")
    left = wait_for_one(spares)
    monkeypatch.setenv("WHAT_A_TRANSFORM_READS", "changed")

    assert counted(catalogue, "b") == {"named": 1}

    assert left.exists()


def test_where_the_one_that_waited_was_killed_a_run_starts_its_own(
    spares: Path, catalogue: Catalogue
) -> None:
    counted(catalogue, "a")
    wait_for_one(spares)
    for process in waiting(spares):
        process.kill()
    psutil.wait_procs(waiting(spares), LONGEST_S)

    assert counted(catalogue, "b") == {"named": 1}


def test_a_taken_driver_that_dies_fails_the_run_and_nothing_else(
    spares: Path, catalogue: Catalogue
) -> None:
    counted(catalogue, "a")
    wait_for_one(spares)
    catalogue.register("b")
    assets = group(EntityAsset("named", jobs.named, output=Json()), name="again")
    before = local.take

    def taken_and_killed(*arguments: object):
        driver = before(*arguments)  # pyright: ignore[reportArgumentType]
        assert driver is not None
        driver.kill()
        return driver

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "take", taken_and_killed)
        outcome = catalogue.run(assets, entities=["b"])

    assert "the driver ended with code -9" in outcome.error
    assert catalogue.run(assets, entities=["b"]).counts("materialized") == {"named": 1}


def test_a_socket_that_nobody_listens_at_is_no_driver(tmp_path: Path) -> None:
    from klio_dagster.engine.spare import _name, take

    stale = tmp_path / _name(2, os.environ)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(stale))

    assert take(tmp_path, "manifest.json", 2, os.environ) is None
