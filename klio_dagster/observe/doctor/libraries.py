"""Whether the libraries of the workers are there, and whether the first use of them is slow."""

import os
import tempfile
from collections.abc import Generator, Mapping
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from klio_dagster.engine.probe import SOUND
from klio_dagster.observe.doctor.children import ChildFailedError, probed
from klio_dagster.observe.doctor.finding import About, Finding

CACHE_VARIABLE = "NUMBA_CACHE_DIR"

_SLOW_IMPORT_S = 10.0
_INSTALL = "install klio-dagster again, with what it depends on"
_WARM_UP = (
    'python -c "import librosa, numpy;'
    " librosa.feature.mfcc(y=numpy.zeros(4096, dtype='float32'), sr=22050)\""
)


def look_at_libraries(
    environment: Mapping[str, str], within_s: float, package: Path | None = None
) -> Generator[Finding]:
    """What workers import: there, able to read what they should, and compiled before.

    Args:
        environment: of this process.
        within_s: how long a process may take, in seconds.
        package: folder of librosa; the one that is installed when None.
    """
    about = About("libraries", "of the workers")
    folder = package or _folder_of("librosa")
    if folder is None:
        yield about.fail("librosa", "it is not installed", _INSTALL)
        return
    cache = numba_cache(about, folder, environment)
    yield cache
    if not cache.figures["compiled"]:
        return  # importing it now would fill the cache, and take as long as the first run
    try:
        found = probed([SOUND], within_s)
    except ChildFailedError as error:
        yield about.fail("import", str(error), error.remedy or _INSTALL)
        return
    yield from _imported(about, found)


def numba_cache(about: About, package: Path, environment: Mapping[str, str]) -> Finding:
    """Whether what numba compiles for librosa is kept, and there already.

    Args:
        about: the libraries.
        package: folder of librosa.
        environment: of this process.
    """
    named = environment.get(CACHE_VARIABLE)
    home = Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "numba"
    # Where numba looks, in its order: it takes the first that it may write to.
    places = [Path(named)] if named else [package / "util" / "__pycache__", home]
    place = next((each for each in places if _is_writable(each)), None)
    if place is None:
        said = (
            f"numba may write nowhere ({', '.join(map(str, places))}): librosa cannot be imported"
        )
        remedy = f"set {CACHE_VARIABLE} to a folder that workers may write to"
        return about.fail("numba cache", said, remedy, compiled=0, is_writable=False)
    kept = package if place.is_relative_to(package) else place
    compiled = sum(1 for _ in islice(kept.rglob("*.nbi"), 1000))
    figures = {"compiled": compiled, "is_writable": True, "folder": str(kept)}
    if compiled:
        return about.ok("numba cache", f"{compiled} functions compiled", **figures)
    said = f"it is empty ({kept}): the first worker that loads librosa takes some 20 s for it"
    remedy = f"fill it once, as the user of the workers: {_WARM_UP}"
    return about.warn("numba cache", said, remedy, **figures)


def _imported(about: About, found: Mapping[str, Any]) -> Generator[Finding]:
    for name, each in found.items():
        if "error" in each:
            yield about.fail(name, each["error"], _INSTALL)
    times = {name: each["import_s"] for name, each in found.items() if "import_s" in each}
    total_s = sum(times.values())
    figures = {f"{name}_s": round(seconds, 3) for name, seconds in times.items()}
    if total_s > _SLOW_IMPORT_S:
        said = f"importing them takes {total_s:.1f} s, in each worker"
        remedy = f"put Python's packages on a disk of this machine; {_WARM_UP}"
        yield about.warn("import", said, remedy, **figures)
    else:
        yield about.ok("import", f"{total_s:.1f} s", **figures)
    sound = found["soundfile"]
    if "missing" not in sound:
        return
    version = sound["libsndfile"]
    if sound["missing"]:
        said = f"libsndfile {version} knows no {', '.join(sound['missing'])}"
        remedy = "install a wheel of soundfile, which brings its own, or libsndfile 1.1 or newer"
        yield about.fail("formats", said, remedy, libsndfile=version)
    else:
        yield about.ok("formats", f"libsndfile {version}", libsndfile=version)


def _folder_of(package: str) -> Path | None:
    spec = find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None


def _is_writable(folder: Path) -> bool:
    """Whether a file can be made there, or in the folder above that would have to be made."""
    there = next((each for each in (folder, *folder.parents) if each.is_dir()), None)
    if there is None or not os.access(there, os.W_OK | os.X_OK):
        return False
    try:
        with tempfile.TemporaryFile(dir=there):
            return True
    except OSError:
        return False
