"""Runs of entity assets on an engine elsewhere; all of it reaches the store, a folder."""

import json
import shutil
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import TypeAdapter

from klio_dagster.defs.engines import Engine
from klio_dagster.defs.resource import KlioResource
from tests.dataflow import dataflow_jobs as jobs
from tests.dataflow.remote_runs import launched, recordings
from tests.flows.catalogue import ENTITY_RUN, Catalogue, Outcome, home_in
from tests.services.started import ROOT

LONG_S = 240.0  # for what an engine does
DEMO = ROOT / "demo" / "tracks"
_ENGINES: TypeAdapter[Any] = TypeAdapter(Engine)


def logged_recordings() -> dg.AssetsDefinition:
    """`recordings()`; each execution of the first asset is logged."""
    return recordings(jobs.logged)


class EngineCatalogue(Catalogue):
    """A store and an instance in a folder.

    Args:
        folder: of the test.
        instance: Dagster's.
        engine: fields of the engine.
    """

    def __init__(self, folder: Path, instance: dg.DagsterInstance, engine: dict[str, Any]) -> None:
        super().__init__(folder, instance)
        self.engine = engine

    @property
    def log(self) -> Path:
        """A line for each execution of `recording`."""
        return self.folder / "executions.log"

    def executions(self) -> list[str]:
        return self.log.read_text().split() if self.log.exists() else []

    def fill(self, number: int) -> list[str]:
        """So many slow ones, registered."""
        names = [f"track-{index:03}" for index in range(number)]
        for name in names:
            self.put(f"tracks/{name}.txt", b"slow")
        self.register(*names)
        return names

    def fill_with_audio(self) -> list[str]:
        """The demo's recordings."""
        names = sorted(path.stem for path in DEMO.glob("*.flac"))
        (self.folder / "tracks").mkdir(parents=True, exist_ok=True)
        for name in names:
            shutil.copy(DEMO / f"{name}.flac", self.folder / "tracks")
        self.register(*names)
        return names

    def outputs(self) -> dict[str, bytes]:
        """Everything that was stored of the demo's assets, by path."""
        folders = ("recording", "mel", "features")
        listed = (info for folder in folders for info in self.store.list(f"{folder}/"))
        return {info.path: self.store.get(info.path) for info in listed}

    def compute(self, assets: dg.AssetsDefinition, **config: object) -> Outcome:
        klio = KlioResource(
            store=str(self.folder), engine=_ENGINES.validate_python(dict(self.engine))
        )
        given: dict[str, Any] = {"tags": ENTITY_RUN, "entities": "all", **config}
        return self.run(assets, resources={"klio": klio}, **given)

    def launched(self) -> "AbstractContextManager[subprocess.Popen[bytes]]":
        """A run in a process of its own, once it has begun a few."""
        told = [str(self.folder.parent), json.dumps(self.engine)]
        return launched(__name__, told, lambda: len(self.executions()) >= 5, LONG_S)


def main(folder: str, engine: str) -> None:
    """A run in a process of its own, to be killed."""
    with home_in(Path(folder)) as instance:
        EngineCatalogue(Path(folder), instance, json.loads(engine)).compute(logged_recordings())


if __name__ == "__main__":
    main(*sys.argv[1:])
