"""The driver of a job elsewhere: submits or finds it, watches it, and tells the launcher."""

import os
from contextlib import suppress
from enum import Enum

from klio_dagster.core.manifest import Manifest
from klio_dagster.engine.options import RemoteOptions
from klio_dagster.engine.remote.job import RemoteJob, Service
from klio_dagster.engine.remote.told import Ending, Kind, Tell
from klio_dagster.engine.remote.watch import Orders, Watch
from klio_dagster.engine.running import ENDED
from klio_dagster.errors import (
    ConfigError,
    JobLeftError,
    KlioError,
    NoJobError,
    ServiceUnavailableError,
)

_MOST_CHARACTERS = 500


class How(Enum):
    """What is to be done about a manifest's job."""

    SUBMIT = "submit"
    ATTACH = "attach"
    LOOK = "look"


def drive(
    manifest: Manifest,
    options: RemoteOptions,
    tell: Tell,
    *,
    how: How,
    job_id: str | None,
    has_started: bool = False,
) -> None:
    """Have a manifest carried out elsewhere, and return when all of it is done.

    Args:
        manifest: the run's head.
        options: of its engine.
        tell: takes what the launcher is to know.
        how: what is to be done.
        job_id: of a job that was submitted before, where it is known.
        has_started: that job was seen at work before.

    Raises:
        KlioError: it is not done; the launcher was told why.
    """
    held: list[RemoteJob] = []
    orders = Orders()
    # The job goes on when nobody orders its end.
    orders.listen(on_end=lambda: _leave(held))
    try:
        from klio_dagster.engine.beam.services import service_of

        service = service_of(options)
        if how is How.SUBMIT:
            job = _submitted(service, manifest)
        else:
            job = _found(service, manifest, job_id)
        held.append(job)
        watch = Watch(job, options, orders, tell, has_started=has_started)
        if how is How.LOOK:
            watch.look()
        else:
            watch.to_its_end()
    except KlioError as error:
        tell(_ending(error, may_go_on=bool(held) or how is not How.SUBMIT))
        raise
    except Exception as error:  # of a library: without a word from us its launcher would guess
        what = " ".join(f"{type(error).__name__}: {error}".split())[:_MOST_CHARACTERS]
        may_go_on = bool(held) or how is not How.SUBMIT
        kind = Kind.LEFT if may_go_on else Kind.OVER
        tell(Ending(what, f"engine '{options.kind}'", "see the run's output", kind))
        raise
    finally:
        for each in held:
            each.close()


def _submitted(service: Service, manifest: Manifest) -> RemoteJob:
    """The job of a manifest that was submitted just now.

    Raises:
        KlioError: as `Service.submit`.
        ServiceUnavailableError: it did not answer, and has no such job.
    """
    service.find(manifest, None)  # one that is not there says so before anything is sent to it
    try:
        return service.submit(manifest)
    except ServiceUnavailableError as error:
        # Perhaps it was the answer that was lost.
        job = _found_or_none(service, manifest, None, error)
        if job is None:
            raise
        return job


def _found(service: Service, manifest: Manifest, job_id: str | None) -> RemoteJob:
    """The job of a manifest that was submitted before.

    Raises:
        JobLeftError: nobody can say whether there is one.
        NoJobError: there is none.
    """
    job = _found_or_none(service, manifest, job_id)
    if job is None:
        raise NoJobError(
            "its service knows of no job for it",
            where=f"run {manifest.run}",
            fix="what is done stays done: run again for the rest",
        )
    return job


def _found_or_none(
    service: Service, manifest: Manifest, job_id: str | None, why: KlioError | None = None
) -> RemoteJob | None:
    try:
        return service.find(manifest, job_id)
    except KlioError as error:
        said = (why or error).what
        raise JobLeftError(
            f"nobody says how its job is: {said}",
            where=f"run {manifest.run}",
            fix=f"{(why or error).fix}; then run again: the next run finds it",
        ) from error


def _leave(held: list[RemoteJob]) -> None:
    for each in held:
        with suppress(Exception):
            each.close()
    os._exit(ENDED)


def _ending(error: KlioError, *, may_go_on: bool) -> Ending:
    silent = Kind.LEFT if may_go_on else Kind.OVER
    kinds = {
        ConfigError: Kind.CONFIG,
        JobLeftError: Kind.LEFT,
        NoJobError: Kind.NO_JOB,
        ServiceUnavailableError: silent,
    }
    kind = next((kind for type_, kind in kinds.items() if isinstance(error, type_)), Kind.OVER)
    return Ending(error.what, error.where, error.fix, kind)
