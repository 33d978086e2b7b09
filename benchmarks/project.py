"""A project in a folder of its own, for benchmarks that go through the `klio` command."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from klio_dagster.core.receipt import Receipt
from klio_dagster.store.receipts import compacted
from klio_dagster.store.store import Store

ROOT = Path(__file__).resolve().parent.parent
_WORKSPACE = "load_from:\n  - python_module:\n      module_name: definitions\n"


class Project:
    """A workspace with one module of definitions, its own home and its store in `data`.

    Args:
        folder: made new.
        definitions: source of the module.
    """

    def __init__(self, folder: Path, definitions: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        (folder / "workspace.yaml").write_text(_WORKSPACE)
        (folder / "definitions.py").write_text(definitions)
        self.runs: list[str] = []

    def klio(self, *arguments: str, entities: str | None = None) -> Any:
        """What a klio command says with --json; entities failing is no error here.

        Raises:
            RuntimeError: the command could not be carried out.
        """
        path = os.pathsep.join([str(self.folder), str(ROOT)])
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        done = subprocess.run(
            [Path(sys.executable).with_name("klio"), *arguments, "--json"],
            cwd=self.folder,
            env={**environment, "PYTHONPATH": path},
            input=entities,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode > 1:
            raise RuntimeError(done.stderr)
        said = json.loads(done.stdout)
        if arguments[0] == "run":
            self.runs.append(said["run_id"])
        return said

    def receipts(self) -> Iterator[Receipt]:
        """The receipts of the runs so far."""
        store = Store.open(str(self.folder / "data"))
        for run in self.runs:
            yield from compacted(store, run)
