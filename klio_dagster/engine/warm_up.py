"""Warms a worker's environment up (`python -m`), so that no run pays for compiling.

Fills numba's cache with what librosa needs: the first import without it takes 20 s. Given a file
with a `module:name` a line, also sees that a worker can import each of them.
"""

import sys
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from klio_dagster.engine.probe import transforms


def warm_up() -> None:
    """One small mel and MFCC: everything of librosa that numba compiles on the way."""
    import numpy as np

    librosa: Any = import_module("librosa")  # its types are loose

    clip = np.zeros(4096, dtype=np.float32)
    mel = librosa.feature.melspectrogram(y=clip, sr=22050, n_fft=512, n_mels=16)
    librosa.feature.mfcc(S=librosa.power_to_db(mel), n_mfcc=4)


def main(arguments: Sequence[str]) -> int:
    """Warm up, and look.

    Args:
        arguments: the path of a list of references, or nothing.

    Returns:
        0; 1 when something cannot be imported.
    """
    started = time.perf_counter()
    warm_up()
    took_s = time.perf_counter() - started
    lines = [line for path in arguments for line in Path(path).read_text("utf-8").splitlines()]
    for reference, why in transforms(lines).items():
        sys.stderr.write(f"{reference}: it cannot be imported where workers run: {why}\n")
        return 1
    sys.stdout.write(f"librosa warmed up in {took_s:.1f} s; {len(lines)} imports tried\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
