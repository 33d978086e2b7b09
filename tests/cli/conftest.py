"""Projects in folders of their own, and the `klio` command as people call it: a process."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg
import pytest

from tests.cli.given_up import SENSORS
from tests.cli.process import klio_process

ROOT = Path(__file__).parents[2]
WORKSPACE = "load_from:\n  - python_module:\n      module_name: definitions\n"
JOBS = """
import os, sys, time

def size(entity, source: bytes):
    if source == b"broken":
        raise ValueError("no sound in it")
    if source == b"slow":
        time.sleep(60)
    os.system("echo printed by C")
    print("printed by user code")
    print("and on stderr", file=sys.stderr)
    return {"bytes": len(source)}

def double(entity, size):
    return {"bytes": 2 * size["bytes"]}

def label(entity, double):
    return {"label": str(double["bytes"])}
"""
RAISED = "(clip_jobs.py:6)"  # where `size` raises
DEFINITIONS = """
import dagster as dg
from clip_jobs import double, label, size
from klio_dagster import EntityAsset, Json, KlioResource, klio_assets
from klio_dagster.defs.decorator import source_assets

clips = dg.DynamicPartitionsDefinition(name="clips")

@klio_assets(
    partitions_def=clips,
    assets=[
        EntityAsset("size", size, source="clips/{entity}.raw", output=Json()),
        EntityAsset("double", double, deps=["size"], output=Json()),
    ],
)
def sizes(context: dg.AssetExecutionContext, klio: KlioResource):
    yield from klio.run(context=context)

@klio_assets(
    partitions_def=clips,
    assets=[EntityAsset("label", label, deps=[dg.AssetKey("double")], output=Json())],
)
def labels(context: dg.AssetExecutionContext, klio: KlioResource):
    yield from klio.run(context=context)

defs = dg.Definitions(
    assets=[%s, *source_assets(sizes)], resources={"klio": KlioResource(store="data")}
)
"""


@dataclass(frozen=True)
class Done:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        lines = self.out.splitlines()
        assert len(lines) == 1, "one object and nothing else"
        return json.loads(lines[0])


class Project:
    """A folder with a workspace, definitions and recordings."""

    def __init__(self, folder: Path, groups: str = "sizes") -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.write("workspace.yaml", WORKSPACE)
        self.write("definitions.py", DEFINITIONS % groups)
        self.write("clip_jobs.py", JOBS)
        self.home = folder / ".klio"
        self._started: list[subprocess.Popen[str]] = []

    def write(self, path: str, text: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def clip(self, name: str, content: str = "sound") -> None:
        self.write(f"data/clips/{name}.raw", content)

    def start(
        self, *arguments: str, cwd: Path | None = None, **environment: str
    ) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", "klio_dagster.cli.main", *arguments],
            cwd=cwd or self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def end(self) -> None:
        """Leave no process behind, also when a test failed in between."""
        for process in self._started:
            if process.poll() is None:
                process.terminate()
                process.communicate(timeout=30)

    def klio(
        self, *arguments: str, stdin: str = "", cwd: Path | None = None, **environment: str
    ) -> Done:
        with TemporaryDirectory() as folder:
            streams = [Path(folder) / name for name in ("in", "out", "err")]
            streams[0].write_text(stdin)
            environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
            code = klio_process(arguments, cwd or self.folder, environment, streams)
            return Done(code, *(path.read_text() for path in streams[1:]))

    def instance(self) -> dg.DagsterInstance:
        return dg.DagsterInstance.from_config(str(self.home))

    def runs(self) -> list[dg.DagsterRun]:
        with self.instance() as instance:
            return list(instance.get_runs())

    def files(self) -> dict[str, int]:
        """What lies in the store, with its time of change."""
        store = self.folder / "data"
        return {
            str(path.relative_to(store)): path.stat().st_mtime_ns
            for path in store.rglob("*")
            if path.is_file()
        }


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """Nothing registered, nothing computed."""
    made = Project(tmp_path / "project")
    yield made
    made.end()


@pytest.fixture
def streaming(project):
    """A project with two sensors and nothing in the dead letter."""
    project.write("streaming_definitions.py", SENSORS)
    workspace = (project.folder / "workspace.yaml").read_text()
    project.write("workspace.yaml", workspace.replace("definitions", "streaming_definitions"))
    return project


@pytest.fixture(scope="session")
def computed_twins(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Project]:
    """Two good clips, a broken one and one without a file, all of them tried once; and a copy."""
    made = Project(tmp_path_factory.mktemp("computed"))
    for name, content in (("good", "sound"), ("other", "sounds"), ("broken", "broken")):
        made.clip(name, content)
    assert made.klio("entities", "sync").code == 0
    assert made.klio("entities", "add", "nowhere").code == 0
    assert made.klio("run").code == 1
    return made, _copy(made, tmp_path_factory.mktemp("kept"))


@pytest.fixture(scope="session")
def computed(computed_twins: tuple[Project, Project]) -> Project:
    """Those clips, for all tests that run again what is there and neither change nor add any."""
    return computed_twins[0]


@pytest.fixture
def computed_copy(computed_twins: tuple[Project, Project], tmp_path: Path) -> Project:
    """Those clips after exactly one run, for one test alone."""
    return _copy(computed_twins[1], tmp_path)


def _copy(project: Project, folder: Path) -> Project:
    shutil.copytree(project.folder, folder / "copy")
    return Project(folder / "copy")
