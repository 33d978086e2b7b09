"""Ticks and runs in processes of their own, forked from one that has loaded everything already.

`python -m tests.kill.warm` reads a JSON line for each of them and answers with how it ended.
"""

import json
import os
import subprocess
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import google.pubsub_v1.services.publisher.transports  # noqa: F401 - before the fork
import google.pubsub_v1.services.subscriber.transports  # noqa: F401

from klio_dagster.defs import computing
from tests.kill import here, points
from tests.kill.streamed_defs import SENSOR, STREAM, made

_ROOT = Path(__file__).parents[2]


class Warm:
    """The parent of these processes, as a test talks to it.

    Args:
        name: tells those that are used at once from each other.
    """

    def __init__(self, name: str = "one") -> None:
        self._result = f"result-{name}.json"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.kill.warm"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=_ROOT,
            env={**os.environ, "PYTHONPATH": str(_ROOT)},
            text=True,
        )

    def __enter__(self) -> "Warm":
        return self

    def __exit__(self, *_error: object) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def do(
        self,
        deed: str,
        environment: Mapping[str, str],
        settings: Mapping[str, Any] | None = None,
        asked: Sequence[Any] = (),
        *,
        with_driver: bool = False,
    ) -> tuple[int, Any]:
        """Do something in a process of its own.

        Args:
            deed: the name of a function below.
            environment: of the process.
            settings: what else it is than usual, see `points.Point`.
            asked: the deed's arguments.
            with_driver: runs have a driver and workers; otherwise they compute by themselves.

        Returns:
            The process's exit code, negative for a signal, and what the deed gave.
        """
        assert self._process.stdin
        assert self._process.stdout
        told = {
            "deed": deed,
            "environment": dict(environment),
            "settings": dict(settings or {}),
            "asked": list(asked),
            "result": self._result,
            "with_driver": with_driver,
        }
        self._process.stdin.write(json.dumps(told) + "\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        folder = Path(environment[points.FOLDER])
        assert code <= 0, (folder / "said").read_text()
        return code, json.loads((folder / self._result).read_text()) if code == 0 else None


def tick(definitions: dg.Definitions, instance: dg.DagsterInstance) -> list[Any]:
    """The requests of a tick, as plain values."""
    sensor = definitions.resolve_sensor_def(SENSOR)
    with dg.build_sensor_context(
        instance=instance,
        definitions=definitions,
        resources={"klio": (definitions.resources or {})["klio"]},
        sensor_name=SENSOR,
    ) as context:
        result = sensor(context)
    assert isinstance(result, dg.SensorResult)
    requests = result.run_requests or ()
    return [{"run_config": each.run_config, "tags": each.tags} for each in requests]


def run(
    definitions: dg.Definitions, instance: dg.DagsterInstance, request: dict[str, Any]
) -> list[Any]:
    """A run of the sensor's job; whether it succeeded."""
    result = definitions.resolve_job_def(SENSOR).execute_in_process(
        instance=instance, **request, raise_on_error=False
    )
    return [result.run_id, result.success]


def follow(definitions: dg.Definitions, instance: dg.DagsterInstance) -> list[Any]:
    """A tick, and the runs it requests."""
    return [run(definitions, instance, request) for request in tick(definitions, instance)]


_DEEDS = {"tick": tick, "run": run, "follow": follow}


@contextmanager
def _output_in(folder: Path) -> Iterator[None]:
    with (folder / "said").open("a") as said:
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
        yield


def _forked(told: dict[str, Any]) -> None:
    """Ends this process."""
    os.environ.update(told["environment"])
    folder = Path(os.environ[points.FOLDER])
    with _output_in(folder):
        try:
            points.install(folder)
            for where, value in told["settings"].items():
                points.set_to(where, value)
            if not told["with_driver"]:
                computing.carry_out = here.carry_out
            home = os.environ["DAGSTER_HOME"]
            with dg.DagsterInstance.from_config(home) as instance:
                definitions = made(json.loads(os.environ[STREAM]))
                given = _DEEDS[told["deed"]](definitions, instance, *told["asked"])
            (folder / told["result"]).write_text(json.dumps(given))
        except BaseException:  # noqa: BLE001 - or the parent's loop would go on in the child
            traceback.print_exc()
            sys.stderr.flush()
            os._exit(1)
    os._exit(0)


def _main() -> None:
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            sys.stdin.close()
            _forked(json.loads(line))
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    _main()
