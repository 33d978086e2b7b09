"""Flink, Beam's job server for it and Prism: brought once, by `python -m` of this module.

Each part lies in a folder of its own whose name says what it was made from, so a change of a
version or of the pom makes it anew. It is made aside and renamed: what was killed half way is never
found.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest

FLINK = "1.19.3"
PRISM = version("apache-beam")  # Prism speaks to the SDK of its own version
_POM = Path(__file__).parent / "flink_job_server" / "pom.xml"
# In the user's own cache where the checkout is one of many, as for the other servers.
_FOLDERS = (
    Path(__file__).parents[2] / ".cache" / "engines",
    Path("~/.cache/klio/engines").expanduser(),
)


class NotMadeError(Exception):
    """A part could not be made: what, where, how to mend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A program that is made once.

    Args:
        name: its folder; carries what it was made from.
        says: what is done, in one line.
        inside: what is there when it is made, below its folder.
        needs: the programs that make it, each with how to get it.
        make: fills a folder.
    """

    name: str
    says: str
    inside: str
    needs: Mapping[str, str]
    make: Callable[[Path], None]

    def found(self) -> Path | None:
        """Where it is; None if it was not made yet."""
        places = (folder / self.name / self.inside for folder in _FOLDERS)
        return next((place for place in places if place.exists()), None)

    def made(self) -> Path:
        """Where it is, made now if need be.

        Raises:
            NotMadeError: it cannot be.
        """
        if there := self.found():
            return there
        for program, mend in self.needs.items():
            if shutil.which(program) is None:
                raise NotMadeError(f"{self.name}: there is no {program} on the path; {mend}")
        folder = _FOLDERS[0]
        folder.mkdir(parents=True, exist_ok=True)
        # Held by the process: a kill lets go of it.
        with (folder / f".{self.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if there := self.found():
                return there  # another one has made it meanwhile
            print(f"engines: {self.says}", flush=True)
            began = time.monotonic()
            aside = folder / f".{self.name}.half"
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir()
            self.make(aside)
            if not (aside / self.inside).exists():
                raise NotMadeError(
                    f"{self.name}: made without {self.inside}; look into {aside} for what it is"
                )
            aside.rename(folder / self.name)
            print(f"engines: {self.name} after {time.monotonic() - began:.0f} s", flush=True)
        return folder / self.name / self.inside


def _make_flink(aside: Path) -> None:
    """The jars alone: the package has no scripts and no configuration."""
    package = f"apache-flink-libraries=={FLINK}"
    target = aside / "package"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # A source distribution, which pip builds with a setuptools of its own.
    _run([*pip, "--no-deps", "--no-compile", "--target", str(target), package], aside)
    (target / "pyflink" / "lib").rename(aside / "lib")
    shutil.rmtree(target)


def _make_job_server(aside: Path) -> None:
    shutil.copy(_POM, aside)
    _run(["mvn", "--batch-mode", "--quiet", "-DskipTests", "package"], aside)
    (aside / "target" / "flink-job-server.jar").rename(aside / "flink-job-server.jar")
    shutil.rmtree(aside / "target")


def _make_prism(aside: Path) -> None:
    module = f"github.com/apache/beam/sdks/v2/go/cmd/prism@v{PRISM}"
    _run(["go", "install", module], aside, {"GOBIN": str(aside)})


def _run(
    command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
) -> None:
    """Run it quietly in a folder.

    Raises:
        NotMadeError: it failed; the last line it said is part of the message.
    """
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        log = folder.with_name(f"{folder.name}.log")
        log.write_text(done.stdout)
        lines = [line for line in done.stdout.splitlines() if line.strip()]
        said = next((line for line in lines if "ERROR" in line), lines[-1] if lines else "nothing")
        name = Path(command[0]).name
        raise NotMadeError(
            f"{folder.name.strip('.').removesuffix('.half')}: {name} ended with "
            f"{done.returncode}: {said.strip()[:300]}; mend that and try again (all it said: {log})"
        )


_JAVA = {"java": "install Java 11 or 17 (Debian: apt-get install default-jre-headless)"}
FLINK_JARS = Part(
    name=f"flink-{FLINK}",
    says=f"Flink {FLINK} from PyPI (235 MB)",
    inside="lib",
    needs=_JAVA,
    make=_make_flink,
)
JOB_SERVER = Part(
    name=f"job-server-{hashlib.sha256(_POM.read_bytes()).hexdigest()[:12]}",
    says="Beam's job server for Flink, built by Maven (160 MB, about two minutes)",
    inside="flink-job-server.jar",
    needs={**_JAVA, "mvn": "install Maven (Debian: apt-get install maven)"},
    make=_make_job_server,
)
PRISM_PROGRAM = Part(
    name=f"prism-{PRISM}",
    says=f"Prism {PRISM}, built by Go (66 MB, about two minutes)",
    inside="prism",
    needs={"go": "install Go 1.25 or newer"},
    make=_make_prism,
)
PARTS = (FLINK_JARS, JOB_SERVER, PRISM_PROGRAM)


def found_or_skipped(part: Part) -> Path:
    """Where a part is; the test that asks is skipped where it was not made."""
    there = part.found()
    if there is None:
        pytest.skip(f"{part.name} is not there; `make test-engines` brings it")
    return there


def main() -> int:
    """Make what is missing.

    Returns:
        The exit code: 0, or 1 if a part could not be made.
    """
    failed = False
    for part in PARTS:
        try:
            part.made()
        except NotMadeError as error:
            print(f"engines: {error}", file=sys.stderr, flush=True)
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
