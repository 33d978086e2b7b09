"""What goes wrong with a job at Dataflow, in the words the service itself uses.

The texts are those of public bug reports of Apache Beam, Google's samples and its troubleshooting
pages; what stands in them by number (causes, zones, quotas) is made up.
"""

import re
from dataclasses import dataclass, field
from uuid import uuid4

QUEUED, RUNNING = "JOB_STATE_QUEUED", "JOB_STATE_RUNNING"

_COULD_NOT = "({cause}): The workflow could not be created. Causes: ({cause}): {why}"
_DUPLICATE = (
    "There is already an active job named {name}. If you want to submit a second job, try again "
    "by setting a different name."
)
_TOO_MANY = (
    "Dataflow quota error for jobs-per-project quota. Project {project} is running {jobs} jobs. "
    "Please check the quota usage via GCP Console. If it exceeds the limit, please wait for a "
    "workflow to finish or contact Google Cloud Support to request an increase in quota. If it "
    "does not, contact Google Cloud Support."
)
_NO_QUOTA = (
    "Workflow failed. Causes: Project {project} has insufficient quota(s) to execute this "
    "workflow with 1 instances in region {region}. Quota summary (required/available): 1/24 "
    "instances, 1/0 CPUs, 25/4046 disk GB, 0/500 SSD disk GB, 1/100 instance groups, 1/50 managed "
    "instance groups, 1/100 instance templates, 1/8 in-use IP addresses.\n\nPlease see "
    "https://cloud.google.com/compute/docs/resource-quotas about requesting more quota."
)
_NO_MACHINES = (
    "Startup of the worker pool in zone {region}-a failed to bring up any of the desired 1 "
    "workers. Please refer to "
    "https://cloud.google.com/dataflow/docs/guides/common-errors#worker-pool-failure for help "
    "troubleshooting. ZONE_RESOURCE_POOL_EXHAUSTED: Instance creation failed: The zone "
    "'projects/{project}/zones/{region}-a' does not have enough resources available to fulfill "
    "the request.  Try a different zone, or try again later."
)
_STUCK = (
    "Workflow failed. Causes: The Dataflow job appears to be stuck because no worker activity has "
    "been seen in the last 1h. Please check the worker logs in Stackdriver Logging."
)


@dataclass(frozen=True)
class Refusal:
    """What is answered instead of what was asked for.

    Args:
        status: of HTTP.
        code: Google's name for it, like `RESOURCE_EXHAUSTED`.
        reason: the same in its older form, like `rateLimitExceeded`.
        message: what a person reads; `{project}` and `{region}` are filled in.
    """

    status: int
    code: str
    reason: str
    message: str


class Refused(Exception):
    """Raised to answer a refusal."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal


@dataclass(kw_only=True)
class JobFault:
    """What happens to jobs instead of being executed. The first one that matches is taken.

    Args:
        name: is found in the job's name; empty: in every name.
        refusal: answered when the job is submitted; there is no job then.
        failure: the error message it fails with before any worker has started; `{project}` and
            `{region}` are filled in.
        stays: the state it remains in; no process is started for it.
        lasts_s: for so long; None: until it is cancelled. Then it fails, or runs after all.
        cancel_s: it is CANCELLING for so long.
        times: to how many jobs it happens; None: to all.
    """

    name: str = ""
    refusal: Refusal | None = None
    failure: str = ""
    stays: str = ""
    lasts_s: float | None = None
    cancel_s: float = 0.0
    times: int | None = None
    met: int = field(default=0, init=False)

    def takes(self, name: str) -> bool:
        """It happens to this job."""
        if self.times is not None and self.met >= self.times:
            return False
        if not re.search(self.name, name):
            return False
        self.met += 1
        return True


def invalid(why: str) -> Refusal:
    """The request itself is wrong; asking again does not help."""
    return Refusal(400, "INVALID_ARGUMENT", "badRequest", _refused(why))


def duplicate(name: str) -> Refusal:
    """Another job of this name has not ended."""
    return Refusal(409, "ALREADY_EXISTS", "alreadyExists", _refused(_DUPLICATE.format(name=name)))


def too_many_jobs(jobs: int = 25) -> Refusal:
    """The project's quota of jobs is used up: HTTP 429, which Beam does not try again."""
    why = _TOO_MANY.replace("{jobs}", str(jobs))
    return Refusal(429, "RESOURCE_EXHAUSTED", "rateLimitExceeded", _refused(why))


def forbidden() -> Refusal:
    """A quota of Compute Engine's, which answers 403 where others say 429."""
    why = "Quota 'CPUS' exceeded. Limit: 24.0 in region {region}."
    return Refusal(403, "PERMISSION_DENIED", "quotaExceeded", _refused(why))


def no_cpu_quota(name: str = "") -> JobFault:
    """Accepted, and failed before a worker starts."""
    return JobFault(name=name, failure=_NO_QUOTA)


def no_machines(name: str = "") -> JobFault:
    """Accepted, and failed because the zone has no machines left."""
    return JobFault(name=name, failure=_NO_MACHINES)


def stalls(name: str = "", lasts_s: float | None = None) -> JobFault:
    """RUNNING, and nothing happens; the service gives up after `lasts_s` (an hour in reality)."""
    return JobFault(name=name, stays=RUNNING, lasts_s=lasts_s, failure=_STUCK if lasts_s else "")


def never_starts(name: str = "", lasts_s: float | None = None) -> JobFault:
    """QUEUED, for ever or for a while."""
    return JobFault(name=name, stays=QUEUED, lasts_s=lasts_s)


def _refused(why: str) -> str:
    return _COULD_NOT.format(cause=uuid4().hex[:16], why=why)
