"""One job of the Dataflow double: what was asked for, the states it went through, its messages."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from tests.services import dataflow_processes as processes
from tests.services.dataflow_faults import JobFault

STATES = (  # the number of each is its place
    "JOB_STATE_UNKNOWN",
    "JOB_STATE_STOPPED",
    "JOB_STATE_RUNNING",
    "JOB_STATE_DONE",
    "JOB_STATE_FAILED",
    "JOB_STATE_CANCELLED",
    "JOB_STATE_UPDATED",
    "JOB_STATE_DRAINING",
    "JOB_STATE_DRAINED",
    "JOB_STATE_PENDING",
    "JOB_STATE_CANCELLING",
    "JOB_STATE_QUEUED",
    "JOB_STATE_RESOURCE_CLEANING_UP",
)
TERMINAL = {f"JOB_STATE_{name}" for name in ("DONE", "FAILED", "CANCELLED", "UPDATED", "DRAINED")}
_RANK = ("DEBUG", "DETAILED", "BASIC", "WARNING", "ERROR")


def _new_id() -> str:
    return time.strftime("%Y-%m-%d_%H_%M_%S-") + str(uuid4().int)[:19]


@dataclass(frozen=True)
class Message:
    """A line of the job's log."""

    time: str
    importance: str
    text: str

    @property
    def rank(self) -> int:
        """Larger is more important; the numbers of the API are in no order."""
        return _RANK.index(self.importance.removeprefix("JOB_MESSAGE_"))


@dataclass
class Job:
    """What the service knows of a job.

    Args:
        request: as it was submitted.
        project: that it belongs to.
        region: where it runs.
        fault: what happens to it.
    """

    request: Mapping[str, Any]
    project: str
    region: str
    fault: JobFault
    id: str = field(default_factory=_new_id)
    created: float = field(default_factory=time.time)
    states: list[tuple[str, float]] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)
    user_metrics: list[dict[str, Any]] = field(default_factory=list)
    attempts: int = 0
    executor: int | None = None
    is_cancelled: threading.Event = field(default_factory=threading.Event)
    service_ends: threading.Event = field(default_factory=threading.Event)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def name(self) -> str:
        return str(self.request["name"])

    @property
    def state(self) -> str:
        return self.states[-1][0] if self.states else "JOB_STATE_UNKNOWN"

    @property
    def is_over(self) -> bool:
        return self.state in TERMINAL

    @property
    def options(self) -> dict[str, Any]:
        """The pipeline options it was submitted with."""
        said = self.request.get("environment", {}).get("sdkPipelineOptions", {})
        return dict(said.get("options", {}))

    @property
    def labels(self) -> dict[str, str]:
        return dict(self.request.get("labels", {}))

    @property
    def errors(self) -> list[str]:
        """The texts of the messages that are errors."""
        return [each.text for each in self.messages if each.importance == "JOB_MESSAGE_ERROR"]

    @property
    def worker_pool(self) -> dict[str, Any]:
        """What it asked for about its machines."""
        pools = self.request.get("environment", {}).get("workerPools") or [{}]
        return dict(pools[0])

    @property
    def machine_type(self) -> str:
        return self.worker_pool.get("machineType") or "n1-standard-1"

    @property
    def pids(self) -> list[int]:
        """Of every process that is working on it, its executor first; none while it has none."""
        return processes.pids(self.executor)

    @property
    def worker_pids(self) -> list[int]:
        """Of its SDK workers, the processes that run the user's code."""
        return processes.sdk_worker_pids(self.executor)

    def enter(self, state: str) -> bool:
        """Go into a state. A job that is over stays as it is: False."""
        with self._changed:
            if self.is_over:
                return False
            self.states.append((state, time.time()))
            self._changed.notify_all()
            return True

    def say(self, text: str, importance: str = "BASIC") -> None:
        """Add a message; `{project}` and `{region}` are filled in."""
        text = text.replace("{project}", self.project).replace("{region}", self.region)
        with self._changed:
            said = Message(stamp(time.time()), f"JOB_MESSAGE_{importance}", text)
            self.messages.append(said)

    def cancel(self) -> None:
        """Ask for its end; it is CANCELLED a moment later."""
        self.is_cancelled.set()

    def wait(self, *states: str, timeout_s: float = 60.0) -> str:
        """The state it is in once it is in one of these, or over.

        Args:
            states: with or without `JOB_STATE_` before them; none: until it is over.
            timeout_s: after which it is an error.
        """
        wanted = {f"JOB_STATE_{name.removeprefix('JOB_STATE_')}" for name in states}
        with self._changed:
            is_there = self._changed.wait_for(
                lambda: self.is_over or self.state in wanted, timeout_s
            )
        assert is_there, f"{self.name} is {self.state} after {timeout_s} s: {self.messages}"
        return self.state

    def running_s(self, until: float | None = None) -> float:
        """How long it has had workers, in seconds."""
        began = next((at for state, at in self.states if state == "JOB_STATE_RUNNING"), None)
        if began is None:
            return 0.0
        ended = next((at for state, at in self.states if state in TERMINAL), until or time.time())
        return max(0.0, ended - began)

    def resource(self, with_everything: bool = False) -> dict[str, Any]:
        """The job in the API's form, with its environment only where all of it is asked for."""
        said: dict[str, Any] = {
            "id": self.id,
            "projectId": self.project,
            "name": self.name,
            "type": "JOB_TYPE_STREAMING" if self.request.get("type") == 2 else "JOB_TYPE_BATCH",
            "currentState": self.state,
            "currentStateTime": stamp(self.states[-1][1] if self.states else 0.0),
            "createTime": stamp(self.created),
            "startTime": stamp(self.created),
            "location": self.region,
            "labels": self.labels,
            "clientRequestId": self.request.get("clientRequestId", ""),
            "jobMetadata": {"sdkVersion": {"sdkSupportStatus": "SUPPORTED"}},
        }
        if self.is_cancelled.is_set():
            said["requestedState"] = "JOB_STATE_CANCELLED"
        if with_everything:
            said["environment"] = self.request.get("environment", {})
        return said

    def created_resource(self) -> dict[str, Any]:
        """What the answer to a submission says: no state yet, and the beginning of time."""
        said = self.resource()
        del said["currentState"]
        return {**said, "currentStateTime": stamp(0.0)}


def stamp(at: float) -> str:
    """A time in the API's form, in UTC."""
    text = datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds")
    return text.replace("+00:00", "Z")
