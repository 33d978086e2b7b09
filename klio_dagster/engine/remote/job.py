"""What a job elsewhere is: its state, what its service says of it, and its name."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Protocol

from klio_dagster.core.manifest import Manifest

_MOST_CHARACTERS = 63  # of a job's name: Dataflow's limit, the narrowest
_MARK = 8
_NOT_IN_A_NAME = re.compile(r"[^a-z0-9-]+")


class State(StrEnum):
    """Of a job, in the words of no service."""

    WAITING = "waiting"
    RUNNING = "running"
    CANCELLING = "cancelling"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def has_ended(self) -> bool:
        """Nothing of the job runs any more."""
        return self in {State.DONE, State.FAILED, State.CANCELLED}


@dataclass(frozen=True, slots=True)
class Message:
    """What a service says of a job.

    Args:
        text: one or more lines.
        is_error: it is about something that went wrong.
    """

    text: str
    is_error: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JobInfo:
    """How people find a job.

    Args:
        engine: kind of the engine.
        id: of the job at its service.
        name: that we gave it.
        url: of its page; empty where it has none.
    """

    engine: str
    id: str
    name: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at a job shows.

    Args:
        state: of the job.
        shown: the same in its service's own word.
        messages: new since the last look.
    """

    state: State
    shown: str
    messages: Sequence[Message] = ()


@dataclass(frozen=True, slots=True)
class Bill:
    """What a job has used, once it has ended.

    Args:
        counters: by name, as far as its service counts.
        cost: an estimate, by the prices the engine was given; None without any.
        currency: of the estimate.
    """

    counters: Mapping[str, float] = field(default_factory=dict[str, float])
    cost: float | None = None
    currency: str = ""


class Verdict(StrEnum):
    """How a service is, in one respect."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service answers to the question how it is.

    Args:
        what: was asked, in a word or two.
        said: what came of it.
        verdict: how bad it is.
        remedy: what to do about it.
        figures: what was measured.
    """

    what: str
    said: str
    verdict: Verdict = Verdict.OK
    remedy: str = ""
    figures: Mapping[str, float | str] = field(default_factory=dict[str, "float | str"])


class RemoteJob(Protocol):
    """A job that was submitted."""

    @property
    def info(self) -> JobInfo:
        """How people find it."""
        ...

    def look(self) -> Look:
        """Its state, and what is new.

        Raises:
            NoJobError: the service does not know it any more.
            KlioError: nobody can say: the service did not answer, or does not let us ask.
        """
        ...

    def cancel(self) -> None:
        """Ask for its end, once more where that was done before.

        Raises:
            KlioError: the service did not answer, or does not let us.
        """
        ...

    def error(self) -> str:
        """Why it failed, the user's own error where there is one; empty if nobody says."""
        ...

    def bill(self) -> Bill:
        """What it has used."""
        ...

    def close(self) -> None:
        """Give back what this process holds of it; the job goes on."""
        ...


class Service(Protocol):
    """Where jobs are executed."""

    def submit(self, manifest: Manifest) -> RemoteJob:
        """Have a manifest carried out.

        Raises:
            ConfigError: the engine's options are wrong, or the service refuses the job.
            JobLeftError: nobody can say whether it has the job.
            RunError: it refuses for the time being.
            ServiceUnavailableError: it did not answer.
        """
        ...

    def find(self, manifest: Manifest, job_id: str | None) -> RemoteJob | None:
        """The job that was submitted for a manifest; None if the service knows of none.

        Args:
            manifest: that it carries out.
            job_id: of the job, where that is known; else it is found by its name.

        Raises:
            ConfigError: the engine's options are wrong.
            RunError: the service refuses.
            ServiceUnavailableError: it did not answer.
        """
        ...

    def check(self, start_s: float) -> Iterator[Answer]:
        """Whether it is there, lets us in, and has what a job needs.

        Args:
            start_s: how long what a run starts itself may take until it listens, in seconds.

        Raises:
            KlioError: what was asked next is not as it should be; it says how to mend that.
        """
        ...


def job_name(manifest: Manifest) -> str:
    """The name of a manifest's job: the same whoever asks, so that it is found again.

    A work may have several, one after the other; that of an earlier one is another name.
    Dataflow takes `[a-z]([-a-z0-9]{0,61}[a-z0-9])?`, others take that, too.
    """
    told = f"{manifest.run} {manifest.generation} {manifest.clock}"
    mark = sha256(told.encode()).hexdigest()[:_MARK]
    name = f"klio-{_NOT_IN_A_NAME.sub('-', manifest.run.lower())}"
    return f"{name[: _MOST_CHARACTERS - _MARK - 1].rstrip('-')}-{mark}"
