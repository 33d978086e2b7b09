"""A page of the documentation, as what its reader would type."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from klio_dagster import KlioRunConfig

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("[!a]*/*.md"))]

_FENCE = re.compile(r"^```(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# (\S+\.(?:py|yaml|toml))\n")
_EXIT_CODE = re.compile(r"# exit code (\d+)$")
_PATIENCE_S = 300
_PROGRESS = re.compile(r"^.*: \d+ done, \d+ failed, .*\n", re.MULTILINE)  # of runs beyond 5 s
# Not executed: `make` because its targets run for minutes, and one of them these very tests;
# `klio dev` and `klio view` because they do not end. That they exist is checked all the same.
# `klio image build` because it fetches 250 MB: tests/image executes it.
# `gcloud` because it is about somebody's project, and `klio message` where there is no server.
_ONLY_CHECKED = re.compile(r"make \S+$|klio (dev|view|image build)\b|gcloud ")
_NEEDS_PUBSUB = re.compile(r"klio message\b")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Args:
        language: what stands behind the fence.
        text: the lines in between.
        line: of the fence, from 1.
    """

    language: str
    text: str
    line: int

    @property
    def file(self) -> str | None:
        """The file it is the content of, if its first line names one."""
        match = _FILE.match(self.text)
        return match[1] if match and self.language in {"python", "yaml"} else None

    @property
    def commands(self) -> list[tuple[str, str]]:
        """Each command of a console, and what it is said to print."""
        parts = re.split(r"^\$ (.*)\n", self.text, flags=re.MULTILINE)
        assert not parts[0], f"line {self.line}: a console begins with `$ `"
        return list(zip(parts[1::2], parts[2::2], strict=True))


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(match[1], match[2], text.count("\n", 0, match.start()) + 1)
        for match in _FENCE.finditer(text)
    ]


def mentioned(page: Path, program: str) -> Iterator[str]:
    """Every command line of a program on a page, in blocks and within the text."""
    text = page.read_text(encoding="utf-8")
    yield from (code for code in re.findall(r"`([^`\n]+)`", text) if _calls(code, program))
    for block in blocks(page):
        if block.language == "console":
            yield from (line for line, _ in block.commands if _calls(line, program))


def _calls(line: str, program: str) -> bool:
    return line.startswith(f"{program} ")


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody who does what a page says.

    Args:
        folder: where they do it.
        pubsub: host:port of a Pub/Sub emulator; None where there is none.
    """

    folder: Path
    pubsub: str | None = None

    def write_files(self, page: Path) -> None:
        """Write down the files of a page, and do nothing else of it."""
        for block in blocks(page):
            if block.file:
                (self.folder / block.file).write_text(block.text, encoding="utf-8")

    def follow(self, page: Path) -> None:
        """Do everything; what differs from what the page says is an AssertionError."""
        for block in blocks(page):
            where = f"{page.name}:{block.line}"
            if block.file:
                (self.folder / block.file).write_text(block.text, encoding="utf-8")
            elif block.language == "python":
                self._run([sys.executable, "-c", block.text], 0, where)
            elif block.language == "console":
                for line, said in block.commands:
                    self._type(line, said, where)
            elif block.text.startswith("# run config\n"):
                _check_run_config(block.text)
            else:
                assert block.language == "text", f"{where}: who executes {block.language!r}?"

    def _type(self, line: str, said: str, where: str) -> None:
        if _ONLY_CHECKED.match(line) or (_NEEDS_PUBSUB.match(line) and self.pubsub is None):
            return
        code = _EXIT_CODE.search(line)
        program, *arguments = shlex.split(line, comments=True)
        modules = {
            "klio": ["klio_dagster.cli.main"],
            "pytest": ["pytest", "-p", "no:cacheprovider"],
        }
        module = modules.get(program)
        command = [sys.executable, "-m", *module] if module else [program]
        if program == "python":
            command = [sys.executable]
        printed = self._run([*command, *arguments], int(code[1]) if code else 0, where)
        if said:
            assert _pattern(said).fullmatch(_trimmed(printed)), (
                f"{where}: `{line}` printed\n{printed}\ninstead of\n{said}"
            )

    def _run(self, command: list[str], code: int, where: str) -> str:
        path = os.pathsep.join((str(self.folder), str(ROOT)))
        # Options for the pytest that runs this test are not those of the reader's.
        environment = {name: of for name, of in os.environ.items() if name != "PYTEST_ADDOPTS"}
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={
                **environment,
                "PYTHONPATH": path,
                **({"PUBSUB_EMULATOR_HOST": self.pubsub} if self.pubsub else {}),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
        )
        assert done.returncode == code, (
            f"{where}: {command[-3:]} ended with {done.returncode}:\n{done.stdout}"
        )
        return _PROGRESS.sub("", done.stdout)


def _check_run_config(text: str) -> None:
    (op,) = yaml.safe_load(text)["ops"].values()
    fields = op["config"]
    assert fields.keys() <= KlioRunConfig.model_fields.keys()
    KlioRunConfig(**fields).checked_entities()


def _pattern(said: str) -> re.Pattern[str]:
    """What is printed must be this; `...` stands for anything."""
    return re.compile(".*".join(map(re.escape, _trimmed(said).split("..."))), re.DOTALL)


def _trimmed(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())
