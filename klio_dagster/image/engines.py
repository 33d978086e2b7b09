"""Docker or podman: whether one answers, and what it is asked to do."""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from klio_dagster.errors import ConfigError, RunError

PROGRAMS = ("docker", "podman")
PLATFORM = "linux/amd64"

_ANSWER_S = 20.0
_SHOWN_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Builder:
    """A program that builds images here.

    Args:
        program: its name.
    """

    program: str

    def build(self, folder: Path, tag: str) -> None:
        """Build the image of a folder.

        Raises:
            RunError: it fails.
        """
        self._do(build_command(self.program, folder, tag), f"image {tag}")

    def push(self, tag: str) -> None:
        """Push an image to the registry that its name begins with.

        Raises:
            RunError: it fails.
        """
        self._do([self.program, "push", "--quiet", tag], f"push of {tag}")

    def _do(self, command: Sequence[str], where: str) -> None:
        done = _said(command)
        if done.returncode:
            lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
            said = lines[-1][:_SHOWN_CHARACTERS] if lines else "it said nothing"
            raise RunError(
                f"{self.program} ended with code {done.returncode}: {said}",
                where=where,
                fix=f"run `{' '.join(command)}` to see all it says",
            )


def build_command(program: str, folder: Path, tag: str) -> list[str]:
    """What builds the image of a folder."""
    return [program, "build", "--platform", PLATFORM, "--tag", tag, str(folder)]


def builder() -> Builder | None:
    """The first program that is there and whose service answers."""
    for program in PROGRAMS:
        if shutil.which(program) and _answers(program):
            return Builder(program)
    return None


def check_pushable(tag: str | None) -> None:
    """See that an image of that name can be pushed anywhere.

    Raises:
        ConfigError: the name says no registry.
    """
    if tag is None or "/" not in tag:
        raise ConfigError(
            "the name of the image says no registry",
            where="--push",
            fix="give one with --tag, REGISTRY/PROJECT/klio-worker:1 say",
        )


def _answers(program: str) -> bool:
    try:
        done = subprocess.run(
            [program, "info"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ANSWER_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _said(command: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
