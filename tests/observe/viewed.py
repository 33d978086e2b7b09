"""A catalogue to look at: stored outputs, recorded in a real ledger, with ids from outside."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd

from klio_dagster import Array, Audio, AudioClip, EntityAsset, Table
from klio_dagster.codecs.registry import codec_to_json
from klio_dagster.core.receipt import UPSTREAM_FAILED, Failure, Receipt
from klio_dagster.core.state import State
from klio_dagster.defs.metadata import metadata_of
from klio_dagster.ledger.events import RunIdentity
from klio_dagster.ledger.ledger import BatchedLedger, Ledger
from klio_dagster.observe.view import View, ViewedAsset
from klio_dagster.observe.view_index import Stand
from klio_dagster.store.layout import output_path
from klio_dagster.store.store import Store

RUN = "0a0b0c0d-0000-0000-0000-000000000000"
AT = 1_790_000_000.0
HOSTILE = (
    "a b#c?d&e=f",
    "../../../etc/passwd",
    "up/down/../side",
    "Ré \u2013 “étude” 1",
    '"><img src=x onerror=alert(1)>',
    "'; DROP TABLE event_logs; --",
    "%2e%2e%2fetc",
    "javascript:alert(1)",
)


def recording(entity): ...


def features(entity, recording): ...


def mel(entity, recording): ...


ASSETS = (
    EntityAsset("recording", recording, output=Audio("wav")),
    EntityAsset("mel", mel, deps=["recording"], output=Array()),
    EntityAsset("features", features, deps=["recording"], output=Table()),
)


class Viewed:
    """Records and stores what tests name, and counts what is asked of the ledger."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.ledger: Ledger = BatchedLedger(instance, metadata_of)
        self.store = Store.open(str(folder / "store"))
        self.known: list[str] = []
        self.stale: set[tuple[str, str]] = set()
        self.view = View(
            "tracks",
            [ViewedAsset(asset.name, asset, self.store) for asset in ASSETS],
            source=self,
            ledger=self.ledger,
            explained=lambda entity: [{"asset": "mel", "decision": "run", "facts": [entity]}],
        )

    def entities(self) -> list[str]:
        return self.known

    def stands(self) -> Iterator[Stand]:
        for key, known in self.ledger.records([asset.name for asset in ASSETS], None).items():
            for entity, record in known.items():
                state = State.FAILED if record.failed else State.MATERIALIZED
                if (key, entity) in self.stale:
                    state = State.STALE
                yield Stand(key, entity, state, record.timestamp)

    def store_audio(self, entity: str, seconds: float = 1.0, at: float = 1.0) -> bytes:
        """A tone; all its bytes differ with its length."""
        time_s = np.arange(int(8000 * seconds)) / 8000
        tone = 0.5 * np.sin(2 * np.pi * 440 * time_s, dtype=np.float64)
        return self.store_output("recording", entity, AudioClip(tone.astype(np.float32), 8000), at)

    def store_output(
        self, name: str, entity: str, value: object, at: float = 2.0, **metadata: Any
    ) -> bytes:
        asset = next(asset for asset in ASSETS if asset.name == name)
        dumped = asset.output.dump(value)
        path = output_path(name, entity, asset.output.suffix)
        self.store.put(path, dumped.data)
        told = {**dumped.metadata, **metadata}
        self.record(
            Receipt(
                run=RUN,
                entity=entity,
                asset=name,
                uri=self.store.uri(path),
                size=len(dumped.data),
                data_version=f"v-{name}-{at}",
                code_version="c1",
                inputs={"recording": "r1"} if name != "recording" else {},
                codec=codec_to_json(asset.output),
                metadata=told,
                figures=dumped.figures,
                started_at=AT,
                finished_at=AT + at,
            )
        )
        return dumped.data

    def fail(self, entity: str, error: str = "no sound in it", at: float = 3.0) -> None:
        """The recording fails, and what depends on it is blocked."""
        trace = f"Traceback (most recent call last):\nValueError: {error}"
        self.record(_failed("recording", entity, Failure("ValueError", error, trace), at))
        for name in ("mel", "features"):
            self.record(_failed(name, entity, Failure(UPSTREAM_FAILED, "recording"), at))

    def record(self, receipt: Receipt) -> None:
        run = RunIdentity(run_id=RUN, job_name="tracks", step_key="op")
        self.ledger.record(run, [receipt])
        if receipt.entity not in self.known:
            self.known.append(receipt.entity)


def _failed(asset: str, entity: str, failure: Failure, at: float) -> Receipt:
    return Receipt(run=RUN, entity=entity, asset=asset, finished_at=AT + at, failure=failure)


def table(rows: int) -> pd.DataFrame:
    return pd.DataFrame({"onset_s": np.arange(rows) / 2, "label": [f"n{n}" for n in range(rows)]})


def asset_of(told: Mapping[str, Any], key: str) -> Any:
    """What is told of one asset of an entity."""
    return next(each for each in told["assets"] if each["asset"] == key)
