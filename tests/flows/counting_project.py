"""A project whose executions are counted, and what must be true after a run that met a fault."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from klio_dagster.codecs.hashing import data_version
from klio_dagster.core.fold import read_lines
from klio_dagster.defs.metadata import metadata_of
from klio_dagster.ledger.ledger import ledger_of
from klio_dagster.store.layout import output_path
from klio_dagster.store.store import Store
from tests.cli.conftest import Done, Project

ASSETS = ("size", "double")
JOBS = """
import os, time

def counted(asset, entity):
    file = os.open("executions", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{asset} {entity.id}\\n".encode())
    os.close(file)
    time.sleep(float(os.environ.get("SLOWNESS_S", "0.02")))

def size(entity, source: bytes):
    counted("size", entity)
    return {"bytes": len(source), "more": entity.id * 700}

def double(entity, size):
    counted("double", entity)
    return {"bytes": 2 * size["bytes"], "more": entity.id * 700}

def label(entity, double):
    return {}
"""


class CountingProject(Project):
    """`size` and `double`, 4 to 5 kB each, of some clips; nothing computed."""

    def __init__(self, folder: Path, clips: int) -> None:
        super().__init__(folder)
        self.write("clip_jobs.py", JOBS)
        self.clips = [f"clip-{number:02}" for number in range(clips)]
        for name in self.clips:
            self.clip(name)
        assert self.klio("entities", "sync").code == 0

    @property
    def store(self) -> Store:
        return Store.open(str(self.folder / "data"))

    @contextmanager
    def once_it_computes(self, do: Callable[[], object]) -> Iterator[None]:
        """Does something once a run in the block has computed a few."""
        is_over = threading.Event()

        def watch() -> None:
            while len(self.executions()) < 10 and not is_over.wait(0.005):
                pass
            do()

        watcher = threading.Thread(target=watch)
        watcher.start()
        yield
        is_over.set()
        watcher.join()

    def executions(self) -> Counter[tuple[str, str]]:
        """How often each (asset, entity) was computed."""
        log = self.folder / "executions"
        lines = log.read_text().splitlines() if log.exists() else []
        return Counter((line.split()[0], line.split()[1]) for line in lines)

    def finished(self) -> set[tuple[str, str]]:
        """The (asset, entity) that are in the ledger, or have a receipt there."""
        root = self.folder / "data" / "_klio" / "receipts"
        parts = [read_lines(part.read_bytes()) for part in root.glob("*/*.jsonl")]
        with self.instance() as instance:
            records = ledger_of(instance, describe=metadata_of).records(ASSETS, None)
        recorded = {
            (asset, entity)
            for asset, known in records.items()
            for entity, record in known.items()
            if not record.failed
        }
        return recorded | {r.pair for part in parts for r in part.receipts if r.failure is None}

    def assert_one_line(self, done: Done, *codes: int) -> str:
        """The run ended with one line, which is given; lines of progress may go before it."""
        lines = [line for line in done.err.splitlines() if not line.startswith("sizes: ")]
        assert done.code in codes, done
        assert len(lines) == 1, done
        assert "Traceback" not in done.out
        return lines[0]

    def assert_nothing_is_torn(self) -> None:
        for asset in ASSETS:
            for info in self.store.list(f"{asset}/"):
                assert json.loads(self.store.get(info.path))["more"]

    def assert_goes_on(self) -> None:
        """The next run computes what was not finished; what was is not computed again."""
        before, finished = self.executions(), self.finished()
        everything = {(asset, entity) for asset in ASSETS for entity in self.clips}

        again = self.klio("run", "--json")

        assert again.code == 0, again
        assert self.executions() - before == Counter(everything - finished)
        for asset, counts in again.json["assets"].items():
            assert counts["skipped"] == len([pair for pair in finished if pair[0] == asset])
        self.assert_ledger_is_true()
        assert list(self.store.list("_klio/open/")) == []

    def assert_ledger_is_true(self) -> None:
        with self.instance() as instance:
            records = ledger_of(instance, describe=metadata_of).records(ASSETS, None)
            assert all(run.is_finished for run in instance.get_runs())
        for asset in ASSETS:
            for entity, record in records[asset].items():
                data = self.store.get(output_path(asset, entity, ".json"))
                assert record.data_version == data_version(data)
