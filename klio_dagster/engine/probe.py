"""Probe (`python -m`): what a worker finds when it starts, as one JSON object on stdout.

`sound` imports the libraries of sound; `transforms MODULE:NAME ...` those of a project.
"""

import json
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from klio_dagster.core.reference import resolve

SOUND, TRANSFORMS = "sound", "transforms"

_FORMATS = ("WAV", "FLAC", "OGG", "MP3")


def sound() -> dict[str, Any]:
    """Whether the libraries of sound can be imported, how long that takes, what they read."""
    found: dict[str, Any] = {}
    for name in ("numpy", "soxr", "librosa", "soundfile"):
        started = time.perf_counter()
        try:
            import_module(name)
            if name == "librosa":
                _ = import_module("librosa.feature").mfcc  # its parts, and numba, come only now
        except Exception as error:  # noqa: BLE001 - a broken library may raise anything
            found[name] = {"error": f"{type(error).__name__}: {error}"}
        else:
            found[name] = {"import_s": time.perf_counter() - started}
    if "error" not in found["soundfile"]:
        soundfile: Any = import_module("soundfile")
        available = soundfile.available_formats()
        found["soundfile"]["missing"] = [name for name in _FORMATS if name not in available]
        found["soundfile"]["libsndfile"] = soundfile.__libsndfile_version__
    return found


def transforms(references: Sequence[str]) -> dict[str, str]:
    """The transforms that cannot be imported, each with the reason."""
    found: dict[str, str] = {}
    for reference in references:
        try:
            resolve(reference)
        except Exception as error:  # noqa: BLE001 - a user's module may raise anything
            found[reference] = f"{type(error).__name__}: {error}"
    return found


def main(arguments: Sequence[str]) -> None:
    """Print what was asked for."""
    out, sys.stdout = sys.stdout, sys.stderr  # a module that prints must not break the answer
    found = sound() if arguments[0] == SOUND else transforms(arguments[1:])
    out.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
