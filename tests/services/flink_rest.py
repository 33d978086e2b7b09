"""A Flink cluster as its REST interface shows it."""

import json
import time
import urllib.request
from collections.abc import Collection
from typing import Any

# Where a job ends; nothing leaves these states.
ENDED = frozenset({"FINISHED", "FAILED", "CANCELED"})


class FlinkRest:
    """Asks a cluster.

    Args:
        url: of the JobManager's REST interface.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, path: str, method: str = "GET") -> Any:
        """The JSON at a path.

        Raises:
            HTTPError: it answers with an error.
            URLError: it does not answer.
        """
        request = urllib.request.Request(self.url + path, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or b"{}")

    def task_managers(self) -> set[str]:
        """Ids of those that have registered and are not known to be lost."""
        try:
            return {each["id"] for each in self.ask("/taskmanagers")["taskmanagers"]}
        except OSError:  # there is no JobManager yet
            return set()

    def jobs(self, name: str | None = None) -> list[dict[str, Any]]:
        """Overviews, newest first: `jid`, `name`, `state`, times in milliseconds."""
        jobs = self.ask("/jobs/overview")["jobs"]
        jobs.sort(key=lambda job: job["start-time"], reverse=True)
        return [job for job in jobs if name is None or job["name"] == name]

    def find(self, name: str, within_s: float = 60.0) -> str:
        """The id of the newest job of a name: it shows up seconds after `run()` has returned.

        So give each job a name of its own, or the one before may be found.

        Raises:
            AssertionError: there is none in time.
        """
        end = time.monotonic() + within_s
        while not (jobs := self.jobs(name)):
            assert time.monotonic() < end, f"no job '{name}' after {within_s:g} s"
            time.sleep(0.05)
        return jobs[0]["jid"]

    def state(self, job: str) -> str:
        return self.ask(f"/jobs/{job}")["state"]

    def wait_for(self, job: str, states: Collection[str] = ENDED, within_s: float = 120.0) -> str:
        """The state the job is in, once that is one of these.

        Raises:
            AssertionError: it is in none in time.
        """
        end = time.monotonic() + within_s
        while (state := self.state(job)) not in states:
            assert time.monotonic() < end, f"job {job} is {state} after {within_s:g} s"
            assert state not in ENDED, f"job {job} has ended as {state}: {self.causes(job)}"
            time.sleep(0.1)
        return state

    def cancel(self, job: str) -> None:
        """Cancel it for real, which Beam's job server does not."""
        self.ask(f"/jobs/{job}?mode=cancel", "PATCH")

    def cancel_all(self) -> None:
        """Leave the cluster with nothing to do."""
        for job in self.jobs():
            if job["state"] not in ENDED:
                self.cancel(job["jid"])
                self.wait_for(job["jid"])

    def causes(self, job: str) -> list[str]:
        """Stack traces of its failures, oldest first; the user's own traceback is in there."""
        history = self.ask(f"/jobs/{job}/exceptions?maxExceptions=50")["exceptionHistory"]
        return [entry["stacktrace"] for entry in reversed(history["entries"])]

    def settings(self) -> dict[str, str]:
        """What the cluster is configured with."""
        return {row["key"]: row["value"] for row in self.ask("/jobmanager/config")}
