"""What holds between processes: equal bytes, and what importing the codecs loads."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

DUMP_ONE_OF_EACH = """
import json, numpy as np, pandas as pd
from klio_dagster.audio.clip import AudioClip
from klio_dagster.codecs.array import Array
from klio_dagster.codecs.audio import Audio
from klio_dagster.codecs.hashing import data_version
from klio_dagster.codecs.json import Json
from klio_dagster.codecs.table import Table

tags = {name: len(name) for name in {"tempo", "key", "genre", "mood", "Ré"}}
ramp = np.linspace(-1, 1, 4000, dtype=np.float32).reshape(2, 2000)
frame = pd.DataFrame({"kind": pd.Categorical(["b", "a"]), "x": [1.5, None], "n": ["é", None]})
dumped = [Json().dump(tags), Array().dump(ramp), Array().dump(ramp.T), Table().dump(frame)]
dumped += [Audio(name).dump(AudioClip(ramp, 44100)) for name in ("flac", "wav", "ogg")]
print(json.dumps([data_version(d.data) for d in dumped]
    + [[list(d.metadata.items()), [data_version(p) for p in d.figures.values()]] for d in dumped]))
"""

HEAVY = ("soundfile", "pandas", "pandera", "pyarrow", "librosa", "scipy", "matplotlib", "dagster")


def _python(code: str, seed: str = "0") -> object:
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, check=True, text=True
    )
    return json.loads(done.stdout)


def test_two_workers_store_equal_bytes():
    one, other = (_python(DUMP_ONE_OF_EACH, seed) for seed in ("1", "2"))

    assert one == other


@pytest.mark.parametrize("module", ["klio_dagster.codecs.registry", "beam_jobs.audio"])
def test_importing_codecs_and_transforms_loads_nothing_heavy(module):
    code = f"import sys, json, {module}; print(json.dumps(sorted(sys.modules)))"

    loaded = _python(code)

    assert not set(HEAVY) & set(loaded)
