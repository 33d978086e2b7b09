"""The driver of a job elsewhere: submits or finds it, watches it, and tells the launcher."""

import os
from contextlib import suppress
from enum import Enum

from klio_dagster.core.manifest import Manifest
from klio_dagster.engine.options import RemoteOptions
from klio_dagster.engine.remote.job import RemoteJob
from klio_dagster.engine.remote.told import Ending, Tell
from klio_dagster.engine.remote.watch import Orders, Watch
from klio_dagster.engine.running import ENDED
from klio_dagster.errors import ConfigError, JobLeftError, KlioError, RunError

_NO_JOB = "no_job"


class How(Enum):
    """What is to be done about a manifest's job."""

    SUBMIT = "submit"
    ATTACH = "attach"
    LOOK = "look"


class _NoJobError(RunError):
    """The service knows of no job."""


def drive(
    manifest: Manifest, options: RemoteOptions, tell: Tell, *, how: How, job_id: str | None
) -> None:
    """Have a manifest carried out elsewhere, and return when all of it is done.

    Args:
        manifest: the run's head.
        options: of its engine.
        tell: takes what the launcher is to know.
        how: what is to be done.
        job_id: of a job that was submitted before, where it is known.

    Raises:
        KlioError: it is not done; the launcher was told why.
        _NoJobError: so are they that there is none.
    """
    held: list[RemoteJob] = []
    orders = Orders()
    # The job goes on when nobody orders its end.
    orders.listen(on_end=lambda: _leave(held))
    try:
        from klio_dagster.engine.beam.services import service_of

        service = service_of(options)
        is_new = how is How.SUBMIT
        job = service.submit(manifest) if is_new else service.find(manifest, job_id)
        if job is None:
            raise _NoJobError(
                "its service knows of no job for it",
                where=f"run {manifest.run}",
                fix="what is done stays done: run again for the rest",
            )
        held.append(job)
        watch = Watch(job, options, orders, tell)
        if how is How.LOOK:
            watch.look()
        else:
            watch.to_its_end()
    except KlioError as error:
        tell(_ending(error))
        raise
    finally:
        for each in held:
            each.close()


def _leave(held: list[RemoteJob]) -> None:
    for each in held:
        with suppress(Exception):
            each.close()
    os._exit(ENDED)


def _ending(error: KlioError) -> Ending:
    kinds = {ConfigError: "config", JobLeftError: "left", _NoJobError: _NO_JOB}
    kind = next((kind for type_, kind in kinds.items() if isinstance(error, type_)), "")
    return Ending(error.what, error.where, error.fix, kind)
