"""A double of Google's Dataflow service: takes jobs over its REST API and executes them here.

    with GcsServer() as gcs, dataflow_service(gcs.url) as service:
        PipelineOptions.from_dictionary(service.options("my-job"))  # with service.environment set

Jobs are executed by processes of their own, so they outlive whoever submitted them; they end with
the service. What it does not show: images, what is installed on workers, autoscaling, splitting of
work, retries of single bundles (see `dataflow_work`), and whether the real service would accept a
request.
"""

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from tests.services.dataflow_account import write_key_file
from tests.services.dataflow_faults import JobFault, Refused, duplicate
from tests.services.dataflow_job import Job
from tests.services.dataflow_metrics import metrics
from tests.services.dataflow_rest import out_of_order, refused_answer, rest_answer
from tests.services.dataflow_work import Machines, work_on
from tests.services.faults import Fault
from tests.services.gcs import BUCKET, GcsServer
from tests.services.web import Answer, Request, Server

PROJECT, REGION = "klio-tests", "us-central1"
_ROOT = Path(__file__).parents[2]
_TOKEN = '{"access_token": "x", "token_type": "Bearer", "expires_in": 3600}'


class DataflowService(Server):
    """A running service.

    Args:
        storage: URL of the server of `gs://`.
        workers: SDK processes of a job.
        attempts: how often a pipeline is run before its job fails, >= 1; four as in reality.
        pending_s: for so long a job is PENDING.
        environment: of SDK workers, beside this process's own and what `environment` says.
        returns_duplicates: a second job of a name is answered with the first one, as the API's
            reference has it, and not with 409, as bug reports have it.
    """

    project, region = PROJECT, REGION

    def __init__(
        self,
        storage: str,
        *,
        workers: int = 1,
        attempts: int = 4,
        pending_s: float = 0.05,
        environment: Mapping[str, str] | None = None,
        returns_duplicates: bool = False,
    ) -> None:
        super().__init__(self._answer)
        self._folder = Path(tempfile.mkdtemp(prefix="klio-dataflow-"))
        self._storage = storage
        self._returns_duplicates = returns_duplicates
        self._jobs: list[Job] = []
        self.faults: list[JobFault] = []
        self.asked: list[tuple[str, str]] = []
        self._broken: list[Fault] = []
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        write_key_file(self._key, self.project, f"{self.url}/token")
        self._machines = Machines(
            storage=storage,
            environment={**os.environ, **self.environment, **(environment or {})},
            folder=self._folder,
            workers=workers,
            attempts=attempts,
            pending_s=pending_s,
        )

    @property
    def endpoint(self) -> str:
        """For `--dataflow_endpoint`: Beam speaks REST only where "localhost" stands in it."""
        return self.url.replace("127.0.0.1", "localhost")

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to submit jobs, and Beam to read and write `gs://`."""
        return {
            "GOOGLE_APPLICATION_CREDENTIALS": str(self._key),
            "STORAGE_EMULATOR_HOST": self._storage,
            "PYTHONPATH": os.pathsep.join([str(_ROOT), os.environ.get("PYTHONPATH", "")]),
        }

    def options(self, job_name: str, **more: Any) -> dict[str, Any]:
        """Pipeline options that submit a job here."""
        return {
            "runner": "DataflowRunner",
            "dataflow_endpoint": self.endpoint,
            "project": self.project,
            "region": self.region,
            "temp_location": f"gs://{BUCKET}/dataflow/temp",
            "staging_location": f"gs://{BUCKET}/dataflow/staging",
            "job_name": job_name,
            **more,
        }

    @property
    def jobs(self) -> list[Job]:
        """All of them, in the order of their submission."""
        return list(self._jobs)

    def job(self, name: str) -> Job:
        """The latest one of a name."""
        return [job for job in self.jobs if job.name == name][-1]

    def forget(self) -> None:
        """End all jobs, and know of none any more."""
        with self._lock:
            jobs, self._jobs = self._jobs, []
        for job in jobs:
            job.cancel()

    def count(self, method: str = "", where: str = "") -> int:
        """How many requests there were, of a method, whose target contains a text."""
        return len([1 for m, target in self.asked if m.startswith(method) and where in target])

    @contextmanager
    def broken(self, *faults: Fault) -> Iterator[tuple[Fault, ...]]:
        """Requests meet these faults inside of the block; see `faults.Fault`."""
        self._broken = list(faults)
        try:
            yield faults
        finally:
            self._broken = []

    def submit(self, request: Mapping[str, Any], project: str, region: str) -> Job:
        """A new job, or the one that the same request has made before.

        Raises:
            Refused: another one of that name has not ended, or a fault.
        """
        with self._lock:
            fault = next((each for each in self.faults if each.takes(request["name"])), JobFault())
            if fault.refusal:
                raise Refused(fault.refusal)
            for job in self.jobs:
                is_same = (job.name, job.project, job.region) == (request["name"], project, region)
                if is_same and job.request.get("clientRequestId") == request.get("clientRequestId"):
                    return job
                if is_same and not job.is_over and self._returns_duplicates:
                    return job
                if is_same and not job.is_over:
                    raise Refused(duplicate(job.name))
            job = Job(request, project, region, fault)
            self._jobs.append(job)
            thread = threading.Thread(target=work_on, args=(job, self._machines), daemon=True)
            self._threads.append(thread)
            thread.start()
            return job

    def metrics(self, job: Job) -> dict[str, Any]:
        """What a job has used and counted."""
        return metrics(job, self._machines.workers)

    def __exit__(self, *error: object) -> None:
        """End all jobs and every process of theirs, and forget them."""
        with self._lock:
            for job in self.jobs:
                job.service_ends.set()
                job.cancel()
        for thread in self._threads:
            thread.join()
        super().__exit__(*error)
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def _key(self) -> Path:
        return self._folder / "key.json"

    def _answer(self, request: Request) -> Answer | None:
        if request.path == "/token":
            return Answer(200, _TOKEN.encode(), "application/json")
        with self._lock:
            self.asked.append((request.method, unquote(request.target)))
            met = (fault for fault in self._broken if fault.meets(request))
            fault = next((each for each in met if each.takes()), None)
        if fault is None:
            return rest_answer(self, request)
        time.sleep(fault.delay_s)
        if fault.status is not None:
            return refused_answer(out_of_order(fault.status))
        said = rest_answer(self, request)
        return None if fault.is_lost else said


@contextmanager
def dataflow_service(storage: str, **settings: Any) -> Iterator[DataflowService]:
    """A service for the time of a block; see `DataflowService` for its settings."""
    with DataflowService(storage, **settings) as service:
        yield service


@pytest.fixture
def dataflow(gcs: GcsServer) -> Iterator[DataflowService]:
    with dataflow_service(gcs.url) as service:
        yield service
