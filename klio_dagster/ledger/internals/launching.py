"""Code locations loaded, and runs created and executed, in a process of our own."""

import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any, NamedTuple, cast

import dagster as dg
from dagster._core.code_pointer import CodePointer
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.execution import context_creation_job
from dagster._core.execution.api import execute_run
from dagster._core.execution.compute_logs import redirect_to_file
from dagster._core.origin import JobPythonOrigin
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

_STOCK_EXECUTOR = "multi_or_in_process_executor"


class Location(NamedTuple):
    """A code location of a workspace, loaded into this process."""

    repository: dg.RepositoryDefinition
    code: ReconstructableRepository
    origin: ManagedGrpcPythonEnvCodeLocationOrigin


def load_locations(workspace: Mapping[str, object], path: Path) -> Iterator[Location]:
    """Load the code locations of a workspace; those with a server of their own are left out.

    Private because the public ways start a server process for each location and ask it (2 s). The
    origins are those that Dagster's web server gives them, so that it knows the runs as theirs.

    Args:
        workspace: content of a workspace.yaml.
        path: where that lies; code is looked for in its folder unless an entry names another.
    """
    from dagster._core.workspace.load import location_origins_from_config

    for origin in location_origins_from_config(workspace, str(path)).values():
        if isinstance(origin, ManagedGrpcPythonEnvCodeLocationOrigin):
            target = origin.loadable_target_origin
            pointer = _pointer(target, target.working_directory or str(path.parent))
            executable = target.executable_path or sys.executable
            code = ReconstructableRepository(pointer, executable_path=executable)
            yield Location(code.get_definition(), code, origin)


def create_asset_run(
    instance: dg.DagsterInstance,
    location: Location,
    keys: Collection[dg.AssetKey],
    run_config: Mapping[str, object],
    tags: Mapping[str, str],
) -> str:
    """Create a run of the location's own job of these assets, and give its id.

    Private because the public ways need a server of the location. Runs carry both origins: by the
    one the UI finds their job (to execute it again), by the other the daemon finds their code.
    """
    job = location.repository.get_implicit_job_def_for_assets(list(keys))
    assert job is not None  # the assets of one op have one job
    if job.executor_def.name == _STOCK_EXECUTOR:  # a second process for one step only costs
        run_config = {**run_config, "execution": {"config": {"in_process": {}}}}
    repository = RemoteRepositoryOrigin(location.origin, location.repository.name)
    run = instance.create_run_for_job(
        job_def=job,
        run_config=run_config,
        tags=tags,
        asset_selection=frozenset(keys),
        remote_job_origin=repository.get_job_origin(job.name),
        job_code_origin=JobPythonOrigin(job.name, location.code.get_python_origin()),
    )
    return run.run_id


def execute_run_here(
    instance: dg.DagsterInstance, location: Location, run_id: str, *, quietly: bool
) -> dg.JobExecutionResult:
    """Execute a created run in this process.

    Private because the public `execute_job` makes a run that the UI cannot execute again.

    Args:
        instance: where the run was created.
        location: with the code of the run.
        run_id: the run.
        quietly: without the console logger, and what is printed goes to the run's compute logs
            only; its copy on the terminal would take two more processes.
    """
    run = instance.get_run_by_id(run_id)
    assert run is not None
    with _quiet() if quietly else nullcontext():
        return execute_run(location.code.get_reconstructable_job(run.job_name), run, instance)


def has_queue(instance: dg.DagsterInstance) -> bool:
    """Whether runs can be put into a queue; other coordinators need a workspace to start them."""
    return isinstance(instance.run_coordinator, QueuedRunCoordinator)


def enqueue(instance: dg.DagsterInstance, run_id: str) -> None:
    """Put a created run into the run queue, of an instance that has one.

    Private because the public way wants a workspace, which the queue does not look at.
    """
    instance.submit_run(run_id, workspace=cast("Any", None))


@contextmanager
def _quiet() -> Iterator[None]:
    """Dagster without its console logger and without the copy of compute logs on the terminal."""
    from dagster._core.storage import local_compute_log_manager

    @contextmanager
    def to_file(stream: IO[str], path: str) -> Iterator[None]:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with redirect_to_file(stream, path):
            yield

    with ExitStack() as stack:
        for module, name, ours in (
            (context_creation_job, "default_system_loggers", lambda _instance: []),
            (local_compute_log_manager, "mirror_stream_to_file", to_file),
        ):
            stack.callback(setattr, module, name, getattr(module, name))
            setattr(module, name, ours)
        yield


def _pointer(target: LoadableTargetOrigin, directory: str) -> CodePointer:
    """Where the definitions of a workspace entry are; found by their type if it names none."""
    from dagster._core.workspace import autodiscovery

    if target.python_file:
        place, make = target.python_file, CodePointer.from_python_file
        find = autodiscovery.loadable_targets_from_python_file
    else:
        place, make = target.module_name or target.package_name or "", CodePointer.from_module
        find = autodiscovery.loadable_targets_from_python_module
    return make(place, target.attribute or find(place, directory)[0].attribute, directory)
