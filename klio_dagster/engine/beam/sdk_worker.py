"""`klio-sdk-worker`: what a Beam runner starts for a worker where there is no Docker.

Give its path as the command of a PROCESS environment. It does what the `boot` program of Beam's
containers does, except for one thing: it fetches no staged artifacts, so the code must be
installed, or on `PYTHONPATH`, wherever a worker runs.

Standard output and error are what the runner makes of them: Prism prints them, a Flink task manager
throws them away unless its logger `org.apache.beam.runners.fnexecution.environment.ProcessManager`
is at DEBUG. Whatever is logged goes to the runner by Beam's logging service.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from klio_dagster.engine.limits import worker_environment

NAME = "klio-sdk-worker"
_USAGE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the runner says on the command line.

    Args:
        worker: the id this worker is to use.
        provision: address of the service that knows the rest.
        control: address of the control service, should the provision service not name it.
        logging: the same of the logging service.
    """

    worker: str
    provision: str
    control: str
    logging: str


def given(arguments: Sequence[str]) -> Given:
    """What the command line says.

    Raises:
        SystemExit: it does not say enough; standard error says what is missing.
    """
    parser = argparse.ArgumentParser(
        prog=NAME,
        description="A Beam SDK worker of a PROCESS environment. A runner starts it, no person.",
    )
    for name in ("id", "provision_endpoint", "control_endpoint", "logging_endpoint"):
        parser.add_argument(f"--{name}", default="")
    # Runners say more than this, each something else (`--semi_persist_dir`, `--artifact_endpoint`).
    said, _others = parser.parse_known_args(arguments)
    missing = [name for name in ("id", "provision_endpoint") if not getattr(said, name)]
    if missing:
        sys.stderr.write(
            f"{NAME}: no --{missing[0]} was given; name this program as the command of a PROCESS "
            "environment, the runner then starts it with what it needs\n"
        )
        raise SystemExit(_USAGE)
    # Prism starts no shell, and quotes the id as if it did.
    worker = said.id.strip("'")
    control, logging = said.control_endpoint, said.logging_endpoint
    return Given(worker=worker, provision=said.provision_endpoint, control=control, logging=logging)


def main() -> None:
    """Become the worker, in an environment that numeric libraries and malloc read when they start.

    Beam reads the worker's id when it is imported, hence that too is set here.
    """
    arguments = sys.argv[1:]
    environment = {**worker_environment(os.environ), "WORKER_ID": given(arguments).worker}
    module = "klio_dagster.engine.beam.sdk_harness"
    command = [sys.executable, "-m", module, *arguments]
    os.execve(sys.executable, command, environment)  # noqa: S606 - there is no shell to want


if __name__ == "__main__":
    main()
