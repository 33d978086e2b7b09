"""Makes the demo catalogue: real recordings, and those that every real catalogue has too.

`python -m demo.prepare .klio/store` puts them into `.klio/store/tracks/`, one file an entity.
"""

import io
import sys
from pathlib import Path

import numpy as np

RECORDINGS = Path(__file__).parent / "tracks"
BROKEN = frozenset({"notes", "truncated"})
"""The entities that must fail; all others must succeed."""

_SAMPLE_RATE_HZ = 44_100
_NOTES = "Breakbeat: drums are a bit loud after the second bar.\n"


def prepare(target: Path) -> list[str]:
    """Put the demo catalogue into a store.

    A file that is there already and has the same bytes is left alone, so its version stays.

    Args:
        target: the store's folder; the files go to its `tracks/`.

    Returns:
        The ids of the entities, sorted.
    """
    tracks = target / "tracks"
    tracks.mkdir(parents=True, exist_ok=True)
    catalogue = {path.stem: path.read_bytes() for path in RECORDINGS.glob("*.flac")}
    catalogue |= _odd_ones(catalogue)
    for entity, data in catalogue.items():
        file = tracks / f"{entity}.flac"
        if not file.exists() or file.read_bytes() != data:
            file.write_bytes(data)
    return sorted(catalogue)


def _odd_ones(recordings: dict[str, bytes]) -> dict[str, bytes]:
    """Entity id to file, of what goes wrong in real catalogues, or must not."""
    loop = recordings["loop_breakbeat"]
    return {
        "silence": _flac(np.zeros(2 * _SAMPLE_RATE_HZ, np.float32)),
        "click-20ms": _flac(_click(0.020)),
        "truncated": loop[: len(loop) // 2],
        "notes": _NOTES.encode(),
        "Ré majeur – étude 1": recordings["ambi_piano"],  # noqa: RUF001 - a dash people do type
    }


def _click(duration_s: float) -> np.ndarray:
    """A 1 kHz tone that dies away, shape (frames,), float32, peak below 0.5."""
    seconds = np.arange(round(duration_s * _SAMPLE_RATE_HZ)) / _SAMPLE_RATE_HZ
    tone = 0.5 * np.sin(2 * np.pi * 1000 * seconds) * np.exp(-seconds / 0.004)
    return tone.astype(np.float32)


def _flac(samples: np.ndarray) -> bytes:
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, samples, _SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    return file.getvalue()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m demo.prepare STORE")
    entities = prepare(Path(sys.argv[1]))
    sys.stdout.write(f"{len(entities)} tracks in {sys.argv[1]}/tracks\n")
