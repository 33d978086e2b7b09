"""However an output is computed, its bytes are the same."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from klio_dagster.codecs.array import Array
from klio_dagster.codecs.audio import Audio
from klio_dagster.codecs.json import Json
from klio_dagster.codecs.table import Table
from klio_dagster.core.asset import EntityAsset
from klio_dagster.store.memory import MemoryStore
from klio_dagster.store.objects import ObjectStore
from klio_dagster.store.store import Store
from klio_dagster.testing import run_chain
from tests.engine.driven import computed, written
from tests.flows import chain_jobs as jobs

PATTERN = "clips/{entity}.json"
NAMES = ("recording", "louder", "spectrum", "statistics", "digest")
FORMATS = [
    pytest.param("flac", 16, id="flac 16 bit"),
    pytest.param("flac", 24, id="flac 24 bit"),
    pytest.param("wav", 16, id="wav 16 bit"),
    pytest.param("wav", 24, id="wav 24 bit"),
    pytest.param("ogg", None, id="ogg"),
]
CLIPS = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 1000),
        "channels": st.integers(1, 2),
        "frames": st.integers(2, 3000),
        "gain": st.sampled_from([0.0, 0.1, 0.9]),
        "rate": st.sampled_from([8000, 44100]),
    }
)


def chain(audio_format: str, bit_depth: int | None) -> list[EntityAsset]:
    audio = Audio(audio_format, bit_depth=bit_depth) if bit_depth else Audio(audio_format)
    return [
        EntityAsset("recording", jobs.made_clip, source=PATTERN, output=audio),
        EntityAsset("louder", jobs.louder, deps=["recording"], output=audio),
        EntityAsset("spectrum", jobs.spectrum, deps=["recording"], output=Array()),
        EntityAsset("statistics", jobs.statistics, deps=["spectrum", "louder"], output=Table()),
        EntityAsset("digest", jobs.digest, deps=["statistics", "louder"], output=Json()),
    ]


def outputs(store: ObjectStore) -> dict[str, bytes]:
    return {info.path: store.get(info.path) for info in store.list() if info.path.startswith(NAMES)}


def in_turns(
    parts: Sequence[EntityAsset], clip: Mapping[str, Any], turns: Sequence[Sequence[str]]
) -> dict[str, bytes]:
    """The outputs when each turn starts anew with what the turns before it have stored."""
    store = MemoryStore()
    for turn in turns:
        done = run_chain(
            parts, "a", sources={PATTERN: json.dumps(clip).encode()}, select=turn, store=store
        )
        assert not [r.failure for r in done.receipts.values() if r.failure]
    return outputs(store)


@pytest.mark.parametrize(("audio_format", "bit_depth"), FORMATS)
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(clip=CLIPS)
def test_fused_resumed_and_one_by_one_runs_store_equal_bytes(
    audio_format: str, bit_depth: int | None, clip: dict[str, Any]
) -> None:
    parts = chain(audio_format, bit_depth)

    fused = in_turns(parts, clip, [NAMES])

    assert len(fused) == len(NAMES)
    assert in_turns(parts, clip, [[name] for name in NAMES]) == fused
    for cut in range(1, len(NAMES)):
        assert in_turns(parts, clip, [NAMES[:cut], NAMES[cut:]]) == fused


KILLED = """
import os, signal, sys
from klio_dagster.store.store import Store
from klio_dagster.testing import run_chain
from tests.flows.test_equal_bytes import NAMES, PATTERN, chain
store = Store.open(sys.argv[1])
bits = int(sys.argv[3]) or None
class DiesAfter:
    def __init__(self, store): self.store, self.puts = store, 0
    def __getattr__(self, name): return getattr(self.store, name)
    def put(self, path, data):
        if path.startswith(NAMES):
            self.puts += 1
            if self.puts > int(sys.argv[4]): os.kill(os.getpid(), signal.SIGKILL)
        self.store.put(path, data)
source = open(sys.argv[5], "rb").read()
run_chain(chain(sys.argv[2], bits), "a", sources={PATTERN: source}, store=DiesAfter(store))
"""


@pytest.mark.parametrize(("audio_format", "bit_depth"), FORMATS)
def test_a_run_killed_between_two_assets_is_resumed_to_equal_bytes_by_other_processes(
    tmp_path: Path, audio_format: str, bit_depth: int | None
) -> None:
    clip = {"seed": 3, "channels": 2, "frames": 2000, "gain": 0.9, "rate": 44100}
    parts = chain(audio_format, bit_depth)
    fused = in_turns(parts, clip, [NAMES])
    clip_file = tmp_path / "clip.json"
    clip_file.write_text(json.dumps(clip))
    store = Store.open(str(tmp_path / "store"))
    finished = 2

    killed = subprocess.run(
        [
            *(sys.executable, "-c", KILLED, str(tmp_path / "store"), audio_format),
            *(str(bit_depth or 0), str(finished), str(clip_file)),
        ],
        check=False,
        env={**os.environ, "PYTHONHASHSEED": "7"},
    )
    assert killed.returncode == -signal.SIGKILL
    assert len(outputs(store)) == finished
    store.put("clips/a.json", clip_file.read_bytes())
    manifest = written(
        store, parts, ["a"], select=NAMES[finished:], sources={"a": {PATTERN: "clips/a.json"}}
    )
    receipts, _ = computed(store, manifest)

    assert not [r.failure for r in receipts.values() if r.failure]
    assert outputs(store) == fused
