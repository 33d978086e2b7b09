"""A Flink cluster's REST interface: what Beam's job server cannot do there it can."""

import json
import urllib.error
import urllib.request
from contextlib import suppress
from http.client import HTTPException
from typing import Any

from klio_dagster.errors import RunError, ServiceUnavailableError

_ANSWER_S = 30.0
_NOT_FOUND, _CONFLICT = 404, 409
_NO_RESTARTS = frozenset({"none", "off", "disable"})  # Flink's three words for it


class FlinkRest:
    """Asks a JobManager.

    Args:
        master: its address, `host:port`, or a URL.
    """

    def __init__(self, master: str) -> None:
        self.url = master if "://" in master else f"http://{master}"
        self.url = self.url.rstrip("/")

    def ask(self, path: str, method: str = "GET") -> Any:  # noqa: ANN401 - whatever JSON there is
        """The JSON at a path; None where there is nothing.

        Raises:
            ServiceUnavailableError: it did not answer.
            RunError: it refuses.
        """
        where = f"Flink at {self.url}"
        try:
            request = urllib.request.Request(self.url + path, method=method)  # noqa: S310
            with urllib.request.urlopen(request, timeout=_ANSWER_S) as answer:  # noqa: S310
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            # One that has ended meanwhile cannot be cancelled any more.
            if error.code == _NOT_FOUND or (method == "PATCH" and error.code == _CONFLICT):
                return None
            said = _said(error)
            if error.code >= 500:
                raise ServiceUnavailableError(said, where, "see the JobManager's log") from error
            raise RunError(f"it refuses ({said})", where, "see the JobManager's log") from error
        except (OSError, ValueError, HTTPException) as error:
            raise ServiceUnavailableError(
                f"it does not answer ({error})", where, "start it, or mend master"
            ) from error

    def always(self, path: str) -> Any:  # noqa: ANN401 - whatever JSON there is
        """The JSON at a path where every JobManager has some.

        Raises:
            ServiceUnavailableError: it did not answer.
            RunError: it refuses, or is none.
        """
        told = self.ask(path)
        if told is None:
            raise RunError("it is no Flink cluster", f"Flink at {self.url}", "mend master")
        return told

    def named(self, name: str) -> list[dict[str, Any]]:
        """The jobs of a name: those that go on first, then the newest.

        Raises:
            ServiceUnavailableError: it did not answer.
            RunError: it refuses.
        """
        jobs = [job for job in self.always("/jobs/overview")["jobs"] if job["name"] == name]
        return sorted(jobs, key=lambda job: (job["end-time"] != -1, -job["start-time"]))

    def job(self, job_id: str) -> dict[str, Any] | None:
        """What it says of a job; None if it knows of none.

        Raises:
            ServiceUnavailableError: it did not answer.
            RunError: it refuses.
        """
        return self.ask(f"/jobs/{job_id}")

    def failures(self, job_id: str) -> list[tuple[int, str]]:
        """When, in milliseconds since 1970, and with which stack trace a job failed, oldest first.

        Raises:
            ServiceUnavailableError: it did not answer.
            RunError: it refuses.
        """
        told = self.ask(f"/jobs/{job_id}/exceptions?maxExceptions=20") or {}
        entries = told.get("exceptionHistory", {}).get("entries", [])
        return sorted((entry["timestamp"], entry["stacktrace"]) for entry in entries)

    def cancel(self, job_id: str) -> None:
        """Cancel a job for good.

        Raises:
            ServiceUnavailableError: it did not answer.
            RunError: it refuses.
        """
        self.ask(f"/jobs/{job_id}?mode=cancel", method="PATCH")

    def restart_strategy(self) -> str:
        """The cluster's own, `none` where it has none.

        Raises:
            ServiceUnavailableError: it did not answer.
            RunError: it refuses.
        """
        settings = {row["key"]: row["value"] for row in self.always("/jobmanager/config")}
        told = settings.get("restart-strategy.type", settings.get("restart-strategy", "none"))
        return "none" if told.lower() in _NO_RESTARTS else told


def _said(error: urllib.error.HTTPError) -> str:
    """What stands in an answer that refuses, as far as it came."""
    said = b""
    with suppress(OSError, HTTPException):
        said = error.read(2000)
    return " ".join(said.decode(errors="replace").split())[:300] or str(error)
