"""Carries out one submitted pipeline: a process of its own, started by the Dataflow double.

    python -P dataflow_executor.py FOLDER

The folder holds `work.json` and takes `outcome.json`. The pipeline is read from the bucket it was
staged in, its docker environments become SDK workers in processes of this machine, and Beam's
FnApiRunner does the rest. Files that were staged for the workers (a `setup.py`, a main session)
are not installed. When standard input ends, the service is gone, and so is everything here.
"""

import json
import os
import signal
import sys
import threading
import traceback
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

import psutil

DIED = (
    "Error message from worker: SDK harness sdk-0-0 disconnected. This usually means that the "
    "process running the pipeline code has crashed. Inspect the Worker Logs and the Diagnostics "
    "tab to determine the cause of the crash."
)


def main(folder: Path) -> None:
    """Run the pipeline of the folder and write down how it ended."""
    threading.Thread(target=_end_with_the_service, daemon=True).start()
    threading.excepthook = lambda failed: _thread_failed(folder, failed)
    work = json.loads((folder / "work.json").read_text())
    try:
        _tell_workers(folder / "options.json", work["options"])
        metrics = _run(work)
    except Exception as error:  # noqa: BLE001 whatever it is, it is the job's error
        _end(folder, {"error": _words(error)}, 1)
    _end(folder, {"metrics": metrics}, 0)


def _run(work: dict[str, Any]) -> list[dict[str, Any]]:
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.portability.api import beam_runner_api_pb2
    from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner

    data = _download(work["storage"], work["options"]["pipelineUrl"])
    pipeline = beam_runner_api_pb2.Pipeline.FromString(data)
    _use_processes(pipeline)
    runner = FnApiRunner()
    runner._num_workers = work["workers"]
    result = runner.run_via_runner_api(pipeline, PipelineOptions(["--runner=FnApiRunner"]))
    result.wait_until_finish()
    return _user_metrics(result.metrics().query())


def _tell_workers(file: Path, options: dict[str, Any]) -> None:
    """Write the pipeline options where SDK workers read them.

    In FnApiRunner's own way to them every number has a point, and "300.0" is no number of seconds
    to an option.
    """
    known = {f"beam:option:{key}:v1": _whole(value) for key, value in options.items()}
    file.write_text(json.dumps(known))
    os.environ["PIPELINE_OPTIONS_FILE"] = str(file)


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _download(storage: str, url: str) -> bytes:
    bucket, _, name = url.removeprefix("gs://").partition("/")
    place = f"{storage}/storage/v1/b/{bucket}/o/{quote(name, safe='')}?alt=media"
    with urllib.request.urlopen(place, timeout=60) as answer:
        return answer.read()


def _use_processes(pipeline: Any) -> None:
    """Put a process of this machine in the place of every docker image."""
    from apache_beam.portability import common_urns
    from apache_beam.transforms.environments import SubprocessSDKEnvironment

    command = f"exec {sys.executable} -m apache_beam.runners.worker.sdk_worker_main"
    made: Any = SubprocessSDKEnvironment  # its decorator hides the class from type checkers
    process = made.from_command_string(command).to_runner_api(None)
    for environment in pipeline.components.environments.values():
        if environment.urn == common_urns.environments.DOCKER.urn:
            environment.urn, environment.payload = process.urn, process.payload
            del environment.dependencies[:]


def _user_metrics(query: dict[str, Any]) -> list[dict[str, Any]]:
    """Counters and distributions in the API's form, each tentative and committed."""
    found: list[dict[str, Any]] = []
    for kind in ("counters", "distributions"):
        for each in query[kind]:
            value = {"scalar": each.committed or 0}
            if kind == "distributions":
                fields = ("count", "sum", "min", "max")
                value = {"distribution": {name: getattr(each.committed, name) for name in fields}}
            context = {"step": each.key.step, "namespace": each.key.metric.namespace}
            for more in ({}, {"tentative": "true"}):
                name = {"origin": "user", "name": each.key.metric.name, "context": context | more}
                found.append({"name": name, **value})
    return found


def _words(error: Exception) -> str:
    """A user's error comes as text, with the traceback of the SDK worker."""
    text = str(error)
    if "Traceback" not in text:
        text = "".join(traceback.format_exception(error))
    return f"Error message from worker: generic::unknown: {text}"


def _thread_failed(folder: Path, failed: threading.ExceptHookArgs) -> None:
    """FnApiRunner waits for ever for an SDK worker that has died; only a thread of it knows."""
    if "Worker subprocess exited" in str(failed.exc_value):
        _end(folder, {"error": DIED}, 1)
    sys.__excepthook__(failed.exc_type, failed.exc_value or failed.exc_type(), None)


def _end_with_the_service() -> None:
    while os.read(0, 1024):
        pass
    for process in psutil.Process().children(recursive=True):  # some have groups of their own
        with suppress(psutil.Error):
            process.kill()
    os.killpg(os.getpgid(0), signal.SIGKILL)


def _end(folder: Path, outcome: dict[str, Any], status: int) -> NoReturn:
    new = folder / "outcome.json.new"
    new.write_text(json.dumps(outcome))
    new.rename(folder / "outcome.json")
    os._exit(status)  # threads of Beam and gRPC would keep a failed run alive


if __name__ == "__main__":
    main(Path(sys.argv[1]))
