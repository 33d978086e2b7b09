"""A standalone Flink cluster on 127.0.0.1: one JobManager, task managers that can be killed."""

import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Self

import psutil

from klio_dagster.engine.guardian import Guardian
from tests.services.engine_programs import FLINK_JARS, JOB_SERVER
from tests.services.flink_rest import FlinkRest
from tests.services.ports import free_port, listens
from tests.services.started import (
    Started,
    end_all,
    family_rss,
    java,
    process_environment,
    worker_command,
)

_START_S = 90.0
_JOB_MANAGER = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
_TASK_MANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
# What Flink's own scripts give to a Java 17; kryo and Beam's coders look inside these.
_OPENED = (
    *("java.lang", "java.net", "java.io", "java.nio", "sun.nio.ch", "java.lang.reflect"),
    *("java.text", "java.time", "java.util", "java.util.concurrent"),
    *("java.util.concurrent.atomic", "java.util.concurrent.locks"),
)
# Everything on 127.0.0.1. Ports that are not named are free ones by default. One TaskManager takes
# about 700 MB. A lost one is noticed after 10 s instead of 50.
_SETTINGS = {
    "jobmanager.rpc.address": "127.0.0.1",
    "jobmanager.bind-host": "127.0.0.1",
    "jobmanager.execution.failover-strategy": "region",
    "rest.address": "127.0.0.1",
    "rest.bind-address": "127.0.0.1",
    "taskmanager.bind-host": "127.0.0.1",
    "taskmanager.host": "127.0.0.1",
    "taskmanager.memory.task.heap.size": "384m",
    "taskmanager.memory.task.off-heap.size": "0m",
    "taskmanager.memory.framework.heap.size": "128m",
    "taskmanager.memory.framework.off-heap.size": "128m",
    "taskmanager.memory.network.min": "64m",
    "taskmanager.memory.network.max": "64m",
    "taskmanager.memory.managed.size": "128m",
    "taskmanager.memory.jvm-metaspace.size": "256m",
    "taskmanager.memory.jvm-overhead.min": "192m",
    "taskmanager.memory.jvm-overhead.max": "192m",
    "cluster.evenly-spread-out-slots": "true",
    "heartbeat.interval": "2000",
    "heartbeat.timeout": "10000",
    "parallelism.default": "1",
}
# The last logger prints what SDK workers print, which is thrown away otherwise.
_LOGGING = """rootLogger.level=INFO
rootLogger.appenderRef.c.ref=C
appender.c.name=C
appender.c.type=CONSOLE
appender.c.layout.type=PatternLayout
appender.c.layout.pattern=%d %-5p %c{1} - %m%n
logger.p.name=org.apache.beam.runners.fnexecution.environment.ProcessManager
logger.p.level=DEBUG
"""


class FlinkCluster:
    """A cluster of our own, as a context.

    Args:
        task_managers: how many there are in the beginning.
        slots: of each task manager.
        restarts: how often a job is begun again when it fails; 0 for the strategy `none`.
        environment: of its processes, and so of SDK workers: `KLIO_STORE_OPTIONS`, say.
        settings: of Flink, beside ours.
    """

    def __init__(
        self,
        *,
        task_managers: int = 2,
        slots: int = 1,
        restarts: int = 5,
        environment: Mapping[str, str] | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._wanted = task_managers
        self._slots = slots
        self._environment = dict(environment or {})
        self._jars = FLINK_JARS.found()
        assert self._jars, "`make test-engines` brings Flink"
        self.folder = Path(tempfile.mkdtemp(prefix="klio-flink-"))
        self._rest_port, self._rpc_port = free_port(), free_port()
        self.rest = FlinkRest(f"http://127.0.0.1:{self._rest_port}")
        self.task_managers: list[Started] = []
        self.started_in_s = 0.0
        self._others: list[Started] = []
        self._gone: list[Started] = []
        self._guardian = Guardian()
        self._configure(restarts, settings or {})

    @property
    def master(self) -> str:
        """What `--flink_master` is set to."""
        return f"127.0.0.1:{self._rest_port}"

    @property
    def worker_command(self) -> str:
        """The command of the PROCESS environment."""
        return worker_command(self.folder)

    def options(
        self, name: str, parallelism: int = 2, variables: Mapping[str, str] = MappingProxyType({})
    ) -> list[str]:
        """Pipeline options that submit with a job server of the driver's own, one a job.

        Args:
            name: of the job, here and in Flink.
            parallelism: how many slots it takes.
            variables: for the environment of SDK workers.
        """
        return [
            *("--runner=FlinkRunner", f"--flink_master={self.master}"),
            *(f"--flink_job_server_jar={JOB_SERVER.found()}", f"--job_name={name}"),
            *(f"--parallelism={parallelism}", *process_environment(self.worker_command, variables)),
        ]

    def __enter__(self) -> Self:
        began = time.monotonic()
        try:
            self.job_manager = self._start("jobmanager", _JOB_MANAGER, "768m")
            for _ in range(self._wanted):
                self.start_task_manager(wait=False)
            self._wait_until_registered()
        except BaseException:
            self.stop()
            raise
        self.started_in_s = time.monotonic() - began
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start_task_manager(self, *, wait: bool = True) -> Started:
        """One more, or one instead of a killed one; by default wait until it has registered."""
        name = f"taskmanager-{len(self.task_managers) + len(self._gone)}"
        named = ("-D", f"taskmanager.resource-id={name}")
        started = self._start(name, _TASK_MANAGER, "512m", *named)
        self.task_managers.append(started)
        if wait:
            self._wait_until_registered()
        return started

    def restore(self) -> None:
        """Nothing to do, and as many task managers as in the beginning."""
        # First those who might still submit; a driver that was killed leaves its own behind.
        end_all(self.job_servers(), 0)
        self.rest.cancel_all()
        while len(self.task_managers) < self._wanted:
            self.start_task_manager(wait=False)
        self._wait_until_registered()

    def kill_task_manager(self, task_manager: Started | None = None) -> Started:
        """SIGKILL a task manager, by default the first one with an SDK worker at work.

        Returns:
            It: its SDK workers can still be asked for.
        """
        busy = (each for each in self.task_managers if each.sdk_workers())
        killed = task_manager or next(busy, self.task_managers[0])
        killed.kill()
        self.task_managers.remove(killed)
        self._gone.append(killed)
        return killed

    def job_server(self) -> "JobServer":
        """A job server for this cluster, as a context of its own."""
        return JobServer(self)

    def job_servers(self) -> list[psutil.Process]:
        """Those that drivers have started for this cluster, one a job, and that live."""
        url = f"http://{self.master}"  # a word of its own on no other command line
        found = psutil.process_iter(["cmdline"])
        return [process for process in found if url in (process.info["cmdline"] or ())]

    def sdk_workers(self) -> list[psutil.Process]:
        """All that live, those of killed task managers too."""
        return [
            worker
            for started in (*self.task_managers, *self._gone, *self._others)
            for worker in started.sdk_workers()
        ]

    def memory(self) -> dict[str, int]:
        """Bytes in use by program; an SDK worker with all it has started."""
        programs = [self.job_manager, *self.task_managers, *self._others]
        used = {each.name: each.rss() for each in programs if each.is_running}
        for worker in self.sdk_workers():
            used[f"sdk-worker-{worker.pid}"] = family_rss(worker)
        return used

    def stop(self) -> None:
        """End everything, SDK workers included, and delete what it wrote."""
        end_all(self.job_servers(), 0)
        for each in (*self._others, *self.task_managers, *self._gone, *self._job_managers()):
            each.stop()
        self._guardian.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start_beside(self, name: str, command: list[str]) -> Started:
        """Another program that ends with the cluster."""
        started = Started(name, command, self.folder, self._guardian, self._environment)
        self._others.append(started)
        return started

    def _job_managers(self) -> list[Started]:
        return [self.job_manager] if hasattr(self, "job_manager") else []

    def _wait_until_registered(self) -> None:
        """All that live, and none that was killed: it counts until it is noticed."""
        names = {each.name for each in self.task_managers}
        self.job_manager.wait_for(
            lambda: self.rest.task_managers() == names, f"there: {', '.join(names)}", _START_S
        )

    def _configure(self, restarts: int, settings: Mapping[str, str]) -> None:
        strategy = {"restart-strategy.type": "none"}
        if restarts:
            strategy = {
                "restart-strategy.type": "fixed-delay",
                "restart-strategy.fixed-delay.attempts": str(restarts),
                "restart-strategy.fixed-delay.delay": "1 s",
            }
        own = {
            "jobmanager.rpc.port": str(self._rpc_port),
            "rest.port": str(self._rest_port),
            "taskmanager.numberOfTaskSlots": str(self._slots),
            "taskmanager.cpu.cores": str(self._slots),
            "io.tmp.dirs": str(self.folder / "tmp"),
        }
        for name in ("conf", "tmp"):
            (self.folder / name).mkdir()
        lines = (
            f"{key}: {value}\n"
            for key, value in (_SETTINGS | own | strategy | dict(settings)).items()
        )
        (self.folder / "conf" / "config.yaml").write_text("".join(lines))
        (self.folder / "log4j.properties").write_text(_LOGGING)

    def _start(self, name: str, main: str, heap: str, *arguments: str) -> Started:
        """One of Flink's programs; the package has no scripts that would."""
        command = [
            *(java(), f"-Xmx{heap}", "-XX:MaxMetaspaceSize=256m", "-XX:+UseSerialGC"),
            *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED),
            f"-Djava.io.tmpdir={self.folder}/tmp",
            f"-Dlog4j.configurationFile=file:{self.folder}/log4j.properties",
            *("-cp", f"{self._jars}/*", main, "--configDir", f"{self.folder}/conf"),
            *arguments,
        ]
        return Started(name, command, self.folder, self._guardian, self._environment)


class JobServer:
    """Beam's job server before a cluster, as a context: it outlives the drivers that submit.

    It listens on all interfaces, which it has no option against.

    Args:
        cluster: where its jobs go.
    """

    def __init__(self, cluster: FlinkCluster) -> None:
        self._cluster = cluster
        self._port = free_port()
        self.process: Started | None = None

    @property
    def endpoint(self) -> str:
        """What `--job_endpoint` is set to."""
        return f"127.0.0.1:{self._port}"

    def options(
        self, name: str, parallelism: int = 2, variables: Mapping[str, str] = MappingProxyType({})
    ) -> list[str]:
        """Pipeline options that submit here; as the cluster's own."""
        command = self._cluster.worker_command
        return [
            *("--runner=PortableRunner", f"--job_endpoint={self.endpoint}", f"--job_name={name}"),
            *(f"--parallelism={parallelism}", *process_environment(command, variables)),
        ]

    def __enter__(self) -> Self:
        jar = JOB_SERVER.found()
        assert jar, "`make test-engines` brings the job server"
        artifacts = self._cluster.folder / f"artifacts-{self._port}"
        command = [
            *(java(), "-Xmx512m", "-XX:+UseSerialGC", "-jar", str(jar)),
            *(f"--flink-master={self._cluster.master}", f"--job-port={self._port}"),
            *("--artifact-port=0", "--expansion-port=0", f"--artifacts-dir={artifacts}"),
        ]
        self.process = self._cluster.start_beside(f"job-server-{self._port}", command)
        self.process.wait_for(lambda: listens(self._port), "a job server", _START_S)
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process
        self.process.stop()
