"""Dataflow's REST API, as far as Beam's DataflowRunner and Google's client speak it."""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar

from tests.services.dataflow_faults import Refusal, Refused, invalid
from tests.services.dataflow_job import STATES, Job, Message
from tests.services.web import Answer, Request

Row = TypeVar("Row")
_PATH = re.compile(
    r"/v1b3/projects/([^/]+)/locations/([^/]+)/jobs(?:/([^/:]+))?(?:/(messages|metrics))?"
)
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,1022}[a-z0-9])?")
_LABEL = re.compile(r"[a-z][a-z0-9_-]{0,62}=[a-z0-9_-]{0,63}")
_IMPORTANCE = ("UNKNOWN", "DEBUG", "DETAILED", "WARNING", "ERROR", "BASIC")  # by their numbers
_FILTERS = ("UNKNOWN", "ALL", "TERMINATED", "ACTIVE")
_VIEWS = ("JOB_VIEW_UNKNOWN", "JOB_VIEW_SUMMARY", "JOB_VIEW_ALL", "JOB_VIEW_DESCRIPTION")


class Jobs(Protocol):
    """What a service holds, as the API sees it."""

    @property
    def jobs(self) -> Sequence[Job]:
        """All of them, in the order of their submission."""
        ...

    def submit(self, request: Mapping[str, Any], project: str, region: str) -> Job:
        """A new job, or the one this very request has made before."""
        ...

    def metrics(self, job: Job) -> dict[str, Any]:
        """What it has used and counted."""
        ...


def rest_answer(service: Jobs, request: Request) -> Answer:
    """What the service answers; an error is JSON, too."""
    match = _PATH.fullmatch(request.path)
    try:
        if match is None:
            raise Refused(_not_found(f"nothing is at {request.path}"))
        project, region, job_id, part = match.groups()
        if job_id is None:
            return _all(service, request, project, region)
        job = _found(service, job_id, project, region)
        if part == "messages":
            return _messages(job, request)
        if part == "metrics":
            return _json(service.metrics(job))
        if request.method == "PUT":
            _update(job, json.loads(request.body))
        return _json(job.resource(_one_of(_VIEWS, request.query.get("view")) == "JOB_VIEW_ALL"))
    except Refused as refused:
        project, region = (match[1], match[2]) if match else ("", "")
        return refused_answer(refused.refusal, project, region)


def refused_answer(refusal: Refusal, project: str = "", region: str = "") -> Answer:
    """An error in the form of Google's APIs."""
    text = refusal.message.replace("{project}", project).replace("{region}", region)
    errors = [{"message": text, "domain": "global", "reason": refusal.reason}]
    said = {"code": refusal.status, "message": text, "status": refusal.code, "errors": errors}
    return _json({"error": said}, refusal.status)


def out_of_order(status: int) -> Refusal:
    """What is said to any request while the service, or its quota of requests, is used up."""
    if status == 429:
        why = "Quota exceeded for quota metric 'Requests' of service 'dataflow.googleapis.com'."
        return Refusal(429, "RESOURCE_EXHAUSTED", "rateLimitExceeded", why)
    return Refusal(status, "UNAVAILABLE", "backendError", "The service is currently unavailable.")


def _all(service: Jobs, request: Request, project: str, region: str) -> Answer:
    if request.method == "POST":
        asked = json.loads(request.body)
        _check(asked)
        job = service.submit(asked, project, region)
        return _json(job.created_resource())
    query = request.query
    wanted = _one_of(_FILTERS, query.get("filter"))
    found = [
        job
        for job in service.jobs
        if (job.project, job.region) == (project, region)
        and query.get("name") in (None, job.name)
        and (wanted not in ("ACTIVE", "TERMINATED") or job.is_over == (wanted == "TERMINATED"))
    ]
    newest_first = sorted(found, key=lambda job: job.created, reverse=True)
    page, more = _page(newest_first, query)
    return _json({"jobs": [job.resource() for job in page], **more})


def _found(service: Jobs, job_id: str, project: str, region: str) -> Job:
    for job in service.jobs:
        if (job.id, job.project, job.region) == (job_id, project, region):
            return job
    why = f"Information about job {job_id} could not be found in our system. "
    raise Refused(_not_found(why + "Please double check the id is correct."))


def _messages(job: Job, request: Request) -> Answer:
    query = request.query
    asked = query.get("minimumImportance")
    least = _one_of(_IMPORTANCE, asked.removeprefix("JOB_MESSAGE_") if asked else None)
    rank = Message("", least, "").rank if least in _IMPORTANCE[1:] else 0
    start, end = _time(query.get("startTime")), _time(query.get("endTime"))
    numbered = list(enumerate(job.messages))
    found = [
        (number, each)
        for number, each in numbered
        if each.rank >= rank
        and (start is None or datetime.fromisoformat(each.time) >= start)
        and (end is None or datetime.fromisoformat(each.time) < end)
    ]
    page, more = _page(found, query)
    said = [
        {
            "id": f"{number:06}",
            "time": each.time,
            "messageText": each.text,
            "messageImportance": each.importance,
        }
        for number, each in page
    ]
    return _json({"jobMessages": said, **more})


def _update(job: Job, asked: Mapping[str, Any]) -> None:
    wanted = _one_of(STATES, asked.get("requestedState"))
    if wanted != "JOB_STATE_CANCELLED":
        raise Refused(invalid(f"A batch job cannot be brought to {wanted}."))
    if job.is_over:
        why = f"Job {job.id} cannot be cancelled: it has ended in {job.state}."
        raise Refused(Refusal(400, "FAILED_PRECONDITION", "failedPrecondition", why))
    job.cancel()


def _check(asked: Mapping[str, Any]) -> None:
    """Refuse what the real service refuses about names and labels."""
    if not _NAME.fullmatch(asked.get("name", "")):
        why = (
            f"Job name {asked.get('name')} is invalid; the name must consist of only the "
            "characters [-a-z0-9], starting with a letter and ending with a letter or number"
        )
        raise Refused(invalid(why))
    for key, value in asked.get("labels", {}).items():
        if not _LABEL.fullmatch(f"{key}={value}"):
            raise Refused(invalid(f"Label {key}={value} is invalid."))


def _page(rows: Sequence[Row], query: Mapping[str, str]) -> tuple[Sequence[Row], dict[str, str]]:
    first = int(base64.urlsafe_b64decode(query.get("pageToken") or b"MA=="))
    size = int(query.get("pageSize") or 0) or 100
    more = first + size < len(rows)
    token = base64.urlsafe_b64encode(str(first + size).encode()).decode()
    return rows[first : first + size], {"nextPageToken": token} if more else {}


def _one_of(names: Sequence[str], said: Any) -> str:
    """A value of an enum, which clients send by name or by number."""
    if said is None:
        return names[0]
    return names[int(said)] if str(said).isdigit() else str(said)


def _time(said: str | None) -> datetime | None:
    return datetime.fromisoformat(said) if said else None


def _not_found(message: str) -> Refusal:
    return Refusal(404, "NOT_FOUND", "notFound", message)


def _json(said: Mapping[str, Any], status: int = 200) -> Answer:
    return Answer(status, json.dumps(said).encode(), "application/json; charset=UTF-8")
