"""`JobId`: who a message is for, and who it came from; `UpstreamTrigger`: who makes an input."""

from dataclasses import dataclass

from klio_dagster.errors import ConfigError

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class JobId:
    """A job in Klio's messages: a group of entity assets of somebody.

    Args:
        gcp_project: whose it is.
        job_name: what it is called there.

    Raises:
        ConfigError: one of them is empty.
    """

    gcp_project: str
    job_name: str

    def __post_init__(self) -> None:
        for name, value in (("gcp_project", self.gcp_project), ("job_name", self.job_name)):
            if not value:
                raise ConfigError(f"{name} is empty", where="JobId", fix="name the project and job")

    def __str__(self) -> str:
        return f"{self.gcp_project}::{self.job_name}"


@dataclass(frozen=True, slots=True)
class UpstreamTrigger:
    """The job that makes a missing input when a message asks for it.

    Args:
        job: who makes it.
        topic: that job's input topic, `projects/<project>/topics/<topic>`.
        wait_s: how long the input is waited for, in seconds, > 0.
        look_every_s: how often it is looked for, in seconds, >= 0, while that job's message, which
            says that it is there, has not come.

    Raises:
        ConfigError: the topic is not such a path, or a time is out of range.
    """

    job: JobId
    topic: str
    wait_s: float = DAY_S
    look_every_s: float = 60.0

    def __post_init__(self) -> None:
        where = f"UpstreamTrigger of {self.job}"
        match self.topic.split("/"):
            case ["projects", project, "topics", topic] if project and topic:
                pass
            case _:
                fix = "use projects/<project>/topics/<topic>"
                raise ConfigError(f"topic is {self.topic!r}", where=where, fix=fix)
        if not self.wait_s > 0:
            raise ConfigError(f"wait_s is {self.wait_s}", where=where, fix="use more than 0")
        if not self.look_every_s >= 0:
            what = f"look_every_s is {self.look_every_s}"
            raise ConfigError(what, where=where, fix="use 0 or more")
