"""Jobs on an Apache Flink cluster: submitted by Beam's job server, watched and cancelled by REST.

Beam's own cancel says CANCELLED and leaves the job running there (reference: beam, Flink).
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from klio_dagster.core.manifest import Manifest
from klio_dagster.engine.beam.flink_rest import FlinkRest
from klio_dagster.engine.beam.job_api import named, service_at
from klio_dagster.engine.beam.own_server import START_S, OwnServer, flink_server
from klio_dagster.engine.beam.portable import (
    PortableJob,
    service_answers,
    submitted,
)
from klio_dagster.engine.beam.reason import reason_of
from klio_dagster.engine.options import FlinkOptions
from klio_dagster.engine.remote.job import (
    Answer,
    Bill,
    JobInfo,
    Look,
    Message,
    State,
    Verdict,
    job_name,
)
from klio_dagster.errors import (
    JobLeftError,
    KlioError,
    NoJobError,
    RunError,
    ServiceUnavailableError,
)

_TO_SHOW_S = 300.0  # from Beam's job server to the cluster: it sends the jar, or builds it first
_POLL_S = 0.2
_STATES: Mapping[str, State] = {
    "INITIALIZING": State.WAITING,
    "CREATED": State.WAITING,
    "SUSPENDED": State.WAITING,
    "CANCELLING": State.CANCELLING,
    "FINISHED": State.DONE,
    "FAILED": State.FAILED,
    "CANCELED": State.CANCELLED,
}
_HAS_BEGUN = ("RUNNING", "FINISHED", "INITIALIZING", "FAILED", "CANCELED")
_NO_RESTARTS = (
    "the cluster restarts nothing (restart-strategy.type is none): one worker that dies fails the"
    " whole job; set restart-strategy.type: fixed-delay there"
)


class Flink:
    """Submits to a cluster, and finds jobs there by their name.

    Args:
        options: of the engine.
        clock: monotonic, seconds.
        pause: waits for some seconds.
    """

    def __init__(
        self,
        options: FlinkOptions,
        clock: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._options, self._clock, self._pause = options, clock, pause
        self._rest = FlinkRest(options.master)

    def submit(self, manifest: Manifest) -> "FlinkJob":
        """Have a manifest carried out; returns once the cluster knows the job.

        Raises:
            ConfigError: the engine's options are wrong, or the service refuses the job.
            JobLeftError: nobody can say whether it has come to the cluster.
            RunError: no job came of it.
            ServiceUnavailableError: it did not answer.
        """
        # Asked first: what is not there says so, and nothing is in doubt.
        strategy = self._rest.restart_strategy()
        server, endpoint = None, self._options.job_endpoint
        if endpoint:
            named(service_at(endpoint), "", "flink")
        else:
            server = self._job_server()
            endpoint = server.endpoint
        try:
            service, job_id = submitted(manifest, self._more(), endpoint)
            told = PortableJob(service, JobInfo(engine="flink", id=job_id, name=""), None)
            found = self._shown(manifest, told)
        except ServiceUnavailableError as error:
            if server is not None:  # what it has not sent it never will
                raise
            raise self._doubt(error.what) from error
        finally:
            # The cluster has the job, or never will: its server has nothing more to do.
            if server is not None:
                server.stop()
        warnings = [] if strategy != "none" else [Message(_NO_RESTARTS)]
        return FlinkJob(self._rest, self._info(manifest, found), warnings)

    def find(self, manifest: Manifest, job_id: str | None) -> "FlinkJob | None":
        """The job of a manifest; None if the cluster knows of none.

        Raises:
            ServiceUnavailableError: it did not answer.
            RunError: it refuses.
        """
        if job_id is None:
            named = self._rest.named(job_name(manifest))
            job_id = named[0]["jid"] if named else None
        elif self._rest.job(job_id) is None:
            job_id = None
        return None if job_id is None else FlinkJob(self._rest, self._info(manifest, job_id))

    def check(self, start_s: float = START_S) -> Iterator[Answer]:
        """Whether the cluster has the slots for a job, and can be submitted to.

        Args:
            start_s: how long the job server may take until it listens, in seconds.

        Raises:
            ConfigError: there is no such file.
            RunError: it refuses, or the job server does not listen.
            ServiceUnavailableError: it does not answer.
        """
        told = self._rest.always("/overview")
        slots, free = int(told.get("slots-total", 0)), int(told.get("slots-available", 0))
        wanted = self._options.parallelism
        said = f"Flink {told.get('flink-version')}, {slots} slots, {free} of them free"
        figures = {"slots": slots, "free": free}
        if slots < wanted:
            remedy = f"start task managers, or set parallelism to {slots or 1}"
            yield Answer("slots", f"{said}; a job takes {wanted}", Verdict.FAIL, remedy, figures)
        else:
            yield Answer("slots", said, figures=figures)
        strategy = self._rest.restart_strategy()
        if strategy == "none":
            remedy = "set restart-strategy.type: fixed-delay in the cluster's configuration"
            yield Answer("restarts", _NO_RESTARTS, Verdict.WARN, remedy)
        else:
            yield Answer("restarts", strategy)
        yield from service_answers(self._options, "job server", lambda: self._job_server(start_s))

    def _job_server(self, within_s: float = START_S) -> OwnServer:
        return flink_server(self._options.job_server_jar, self._rest.url, within_s)

    def _shown(self, manifest: Manifest, told: PortableJob) -> str:
        """The id of the job once it shows at the cluster.

        Raises:
            JobLeftError: nobody can say whether it will.
            RunError: it does not.
        """
        until = self._clock() + _TO_SHOW_S
        where = f"engine 'flink', {self._rest.url}"
        said = "the job has not come to the cluster"
        while self._clock() < until:
            try:
                if jobs := self._rest.named(job_name(manifest)):
                    return jobs[0]["jid"]
                look = told.look()
            except (ServiceUnavailableError, RunError) as error:  # it has the job already, perhaps
                said = error.what
            else:
                if look.state.has_ended:
                    what = f"no job came of it: {told.error() or look.shown}"
                    raise RunError(what, where, "mend it")
            self._pause(_POLL_S)
        raise self._doubt(f"{said}, for {_TO_SHOW_S:g} s")

    def _doubt(self, said: str) -> JobLeftError:
        where = f"engine 'flink', {self._rest.url}"
        return JobLeftError(said, where, "run again: the next run finds the job if it came")

    def _info(self, manifest: Manifest, job_id: str) -> JobInfo:
        url = f"{self._rest.url}/#/job/{job_id}/overview"
        return JobInfo(engine="flink", id=job_id, name=job_name(manifest), url=url)

    def _more(self) -> FlinkOptions:
        options = self._options
        fields: dict[str, Any] = {
            "flink_master": options.master,
            "parallelism": options.parallelism,
            **options.pipeline_options,
        }
        return replace(options, pipeline_options=fields)


class FlinkJob:
    """A job of a Flink cluster.

    Args:
        rest: the cluster.
        info: how people find the job.
        messages: to be said first.
    """

    def __init__(
        self,
        rest: FlinkRest,
        info: JobInfo,
        messages: list[Message] | None = None,
    ) -> None:
        self._rest, self._info = rest, info
        self._messages = messages or []
        self._traces: list[str] = []
        self._failed_at = 0  # the last time, in milliseconds since 1970

    @property
    def info(self) -> JobInfo:
        """How people find it."""
        return self._info

    def look(self) -> Look:
        """Its state, and what is new: each failure that the cluster restarted it after.

        Raises:
            NoJobError: it does not know the job any more.
            RunError: it refuses.
            ServiceUnavailableError: the cluster did not answer.
        """
        told = self._rest.job(self._info.id)
        if told is None:
            raise NoJobError(
                "the cluster knows it no longer",
                where=f"Flink job {self._info.id}",
                fix="what is done stays done: run again for the rest",
            )
        shown: str = told["state"]
        messages, self._messages = self._messages, []
        for at, trace in self._failures():
            if at > self._failed_at:
                self._failed_at = at
                self._traces.append(trace)
                messages.append(Message(reason_of([trace]), is_error=True))
        return Look(self._state(shown, told), shown, messages)

    def cancel(self) -> None:
        """Ask for its end.

        Raises:
            ServiceUnavailableError: the cluster did not answer.
            RunError: it refuses.
        """
        self._rest.cancel(self._info.id)

    def error(self) -> str:
        """Why it failed."""
        return reason_of(self._traces)

    def bill(self) -> Bill:
        """Nothing: a cluster of one's own costs what it costs."""
        return Bill()

    def close(self) -> None:
        """Nothing is held of it."""

    def _failures(self) -> list[tuple[int, str]]:
        with suppress(KlioError):  # the next look asks for them again: its state is known
            return self._rest.failures(self._info.id)
        return []

    def _state(self, shown: str, told: Mapping[str, Any]) -> State:
        if shown in _STATES:
            return _STATES[shown]
        # It says RUNNING while all of it waits for slots.
        counts: Mapping[str, int] = told.get("status-counts", {})
        return State.RUNNING if any(counts.get(each) for each in _HAS_BEGUN) else State.WAITING
