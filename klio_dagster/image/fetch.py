"""The wheels of pinned libraries, fetched once by pip for the machine that workers run on."""

import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from zipfile import is_zipfile

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from klio_dagster.errors import ConfigError

# Beam's images are Debian; wheels for an older glibc than theirs work in all of them. Named one
# by one, newest first: of soundfile, for one, older pips else take the wheel without libsndfile.
_GLIBC_MINOR = range(28, 4, -1)
_LEGACY = ("manylinux2014", "manylinux2010", "manylinux1")
_NO_WHEEL = re.compile(r"No matching distribution found for ([\w.-]+)==")
_WITHOUT_PIP = "No module named pip"
_SHOWN_CHARACTERS = 300


def fetch(pins: Mapping[str, str], folder: Path, machine: str) -> int:
    """Have the wheel of each library in a folder.

    Args:
        pins: name to version.
        folder: where they are to lie; what is right there already is not fetched again.
        machine: where the workers run, `x86_64`.

    Returns:
        How many were fetched.

    Raises:
        ConfigError: a library has no wheel for that machine, or pip failed, or is not there.
    """
    there = {named(path) for path in _whole_wheels(folder)}
    missing = [
        f"{name}=={version}" for name, version in pins.items() if (name, version) not in there
    ]
    wanted = list(missing)
    while wanted:
        said = _pip("download", *_platforms(machine), *_common(folder), *wanted)
        if said is None:
            break
        without = _NO_WHEEL.search(said)
        names = [each for each in wanted if without and _same(each, without[1])]
        if not names:
            raise ConfigError(
                _last_line(said), where="pip download", fix="see that pip can reach its index"
            )
        wanted.remove(names[0])
        _build(names[0], folder)
    return len(missing)


def named(path: Path) -> tuple[str, str]:
    """Normalised name and version of a wheel, by its file name; of anything else no version."""
    try:
        name, version, _, _ = parse_wheel_filename(path.name)
    except InvalidWheelFilename:
        return path.name, ""
    return name, str(version)


def is_for_this_python(path: Path) -> bool:
    """Whether a wheel is one for this Python: a folder may be older than the environment."""
    try:
        _, _, _, tags = parse_wheel_filename(path.name)
    except InvalidWheelFilename:
        return False
    own = f"cp3{sys.version_info.minor}"
    return any(
        tag.interpreter in {own, "py3", f"py3{sys.version_info.minor}"} or tag.abi == "abi3"
        for tag in tags
    )


def _whole_wheels(folder: Path) -> Iterator[Path]:
    """The wheels for this Python; those that were cut off are removed: pip keeps what it finds."""
    for path in folder.iterdir():
        if not is_for_this_python(path):
            continue
        if is_zipfile(path):  # a zip file's table of contents stands at its end
            yield path
        else:
            path.unlink()


def _build(pin: str, folder: Path) -> None:
    """Make the wheel of a library that comes as source only.

    Raises:
        ConfigError: it cannot be built, or only for machines like this one; or there is no pip.
    """
    where = f"library {pin}"
    before = set(folder.glob("*.whl"))
    said = _pip("wheel", "--wheel-dir", str(folder), "--no-deps", pin)
    if said is not None:
        raise ConfigError(
            f"it has no wheel, and none could be built ({_last_line(said)})",
            where=where,
            fix="see that pip can reach its index, or use a version that has a wheel",
        )
    for built in set(folder.glob("*.whl")) - before:
        if not built.name.endswith("-none-any.whl"):
            built.unlink()
            raise ConfigError(
                "it has no wheel, and what is built here works on machines like this one only",
                where=where,
                fix="use a version that has a wheel",
            )


def _platforms(machine: str) -> list[str]:
    """What pip calls the image's Python and system."""
    minor = sys.version_info.minor
    platforms = [f"manylinux_2_{each}_{machine}" for each in _GLIBC_MINOR]
    platforms += [f"{each}_{machine}" for each in _LEGACY]
    return [
        *(f"--platform={each}" for each in platforms),
        f"--python-version=3.{minor}",
        "--implementation=cp",
        *(f"--abi={each}" for each in (f"cp3{minor}", "abi3", "none")),
        "--only-binary=:all:",
    ]


def _common(folder: Path) -> list[str]:
    return ["--quiet", "--no-deps", "--dest", str(folder)]


def _pip(*arguments: str) -> str | None:
    """Call pip; None when that went well, else what it said.

    Raises:
        ConfigError: there is no pip, as in an environment that uv has made.
    """
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode and _last_line(done.stdout).endswith(_WITHOUT_PIP):
        raise ConfigError(
            "it has no pip, which fetches the wheels of workers",
            where=f"environment {sys.prefix}",
            fix="install pip into this environment: python -m ensurepip, or uv pip install pip",
        )
    return done.stdout if done.returncode else None


def _same(pin: str, name: str) -> bool:
    return pin.partition("==")[0] == canonicalize_name(name)


def _last_line(said: str) -> str:
    """The last line of a program's output, bounded."""
    lines: Sequence[str] = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1][:_SHOWN_CHARACTERS] if lines else "it said nothing"
