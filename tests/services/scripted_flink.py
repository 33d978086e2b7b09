"""A Flink cluster's REST interface that says what a test wants; no job is executed.

Paths and fields are those of Flink 1.19, as far as they are asked for.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any

from tests.services.scripted import next_of
from tests.services.web import Answer, Request, Server

ENDED = ("FINISHED", "FAILED", "CANCELED")
_JOB = re.compile(r"/jobs/([^/]+)(/exceptions)?")


@dataclass
class FlinkJobScript:
    """A job.

    Args:
        id: of the job.
        name: of the job.
        states: that it is in, one a question; it stays in the last one.
        when_cancelled: the same from when its end was asked for; none: that changes nothing.
        started: in milliseconds since 1970.
        counts: of its tasks, by state.
        failures: time in milliseconds and stack trace of each.
    """

    id: str
    name: str
    states: list[str] = field(default_factory=lambda: ["RUNNING"])
    when_cancelled: list[str] = field(default_factory=lambda: ["CANCELLING", "CANCELED"])
    started: int = 1000
    counts: dict[str, int] = field(default_factory=lambda: {"RUNNING": 1})
    failures: list[tuple[int, str]] = field(default_factory=list)

    def overview(self) -> dict[str, Any]:
        ended = self.states[0] in ENDED
        times = {"start-time": self.started, "end-time": self.started + 1 if ended else -1}
        return {"jid": self.id, "name": self.name, "state": self.states[0], **times}


class ScriptedFlink(Server):
    """A JobManager, as a context."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.slots = self.free = 2
        self.settings = {"restart-strategy.type": "fixed-delay"}
        self.jobs: list[FlinkJobScript] = []
        self.asked: list[tuple[str, str]] = []

    @property
    def master(self) -> str:
        """What `FlinkEngine(master=)` is set to."""
        return self.url.removeprefix("http://")

    def add(self, job_id: str, name: str, **script: Any) -> FlinkJobScript:
        self.jobs.append(FlinkJobScript(job_id, name, **script))
        return self.jobs[-1]

    def cancels(self) -> list[str]:
        """What was asked for with PATCH."""
        return [target for method, target in self.asked if method == "PATCH"]

    def _answer(self, request: Request) -> Answer:
        self.asked.append((request.method, request.target))
        told: dict[str, Any] = {
            "/overview": {
                "flink-version": "1.19.3",
                "slots-total": self.slots,
                "slots-available": self.free,
            },
            "/jobmanager/config": [{"key": k, "value": v} for k, v in self.settings.items()],
            "/jobs/overview": {"jobs": [job.overview() for job in self.jobs]},
        }
        if request.path in told:
            return _json(told[request.path])
        match = _JOB.fullmatch(request.path)
        job = next((each for each in self.jobs if match and each.id == match[1]), None)
        if match is None or job is None:
            return _refused(404, f"Job could not be found: {request.path}")
        if match[2]:
            entries = [{"timestamp": at, "stacktrace": trace} for at, trace in job.failures]
            return _json({"exceptionHistory": {"entries": entries[::-1], "truncated": False}})
        if request.method == "PATCH":
            return _cancelled(job, request)
        return _json({"jid": job.id, "state": next_of(job.states), "status-counts": job.counts})


def _cancelled(job: FlinkJobScript, request: Request) -> Answer:
    if request.query.get("mode") != "cancel":
        return _refused(400, "Unknown termination mode")
    if job.states[0] in ENDED and job.states[0] != "CANCELED":
        why = f"the job has already reached another terminal state ({job.states[0]})"
        return _refused(409, f"Job cancellation failed because {why}.")
    job.states = list(job.when_cancelled) or job.states
    return _json({}, 202)


def _refused(status: int, why: str) -> Answer:
    return _json({"errors": [why]}, status)


def _json(value: Any, status: int = 200) -> Answer:
    return Answer(status, json.dumps(value).encode(), "application/json")
