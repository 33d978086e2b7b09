"""Engines as configuration: what executes the Beam pipeline, and with what options."""

import os
import re
from typing import Any, Literal

import dagster as dg
from pydantic import ConfigDict, Field

from klio_dagster.errors import ConfigError

SPARES = "KLIO_SPARE_DRIVERS"
"""Names the folder where runs leave a driver for the next one; `klio dev` sets it."""

_FLEXRS_STARTS_S = 7 * 3600.0
_PASSED_ON = "Beam pipeline options, passed on untouched."
_IN_CLOUD_STORAGE = re.compile(r"gs://[^/]+/.+")  # of a bare bucket Beam makes one of its own
_NO_OTHERS = ConfigDict(extra="forbid")  # Dagster ignores a field that nobody knows


class LocalEngine(dg.Config):
    """This machine, one worker process a core."""

    model_config = _NO_OTHERS

    kind: Literal["local"] = "local"
    workers: int | None = Field(
        default=None, ge=1, description="Worker processes; as many as there are cores by default."
    )
    pipeline_options: dict[str, Any] = Field(default={}, description=_PASSED_ON)

    def to_manifest(self) -> dict[str, Any]:
        """The engine as the plain dict a manifest holds."""
        return {
            "kind": self.kind,
            "workers": self.workers,
            "pipeline_options": dict(self.pipeline_options),
            "spares": os.environ.get(SPARES),
        }


class RemoteEngine(dg.Config):
    """What all engines have whose jobs run elsewhere."""

    model_config = _NO_OTHERS

    workers: int | None = Field(
        default=None,
        ge=1,
        description="Worker processes in each process that the service starts for Beam; one by "
        "default (Prism: as many as there are cores).",
    )
    start_timeout_s: float = Field(
        default=1800.0, gt=0, description="A job that has not started after so long is cancelled."
    )
    stall_timeout_s: float = Field(
        default=7200.0,
        gt=0,
        description="A running job is cancelled when it has finished nothing for so long; more "
        "than the longest `timeout_s` of an asset, times its tries.",
    )
    cancel_timeout_s: float = Field(
        default=900.0, gt=0, description="How long a cancelled job may take to end."
    )
    pipeline_options: dict[str, Any] = Field(default={}, description=_PASSED_ON)

    def _told(self) -> dict[str, Any]:
        """What all of them say in a manifest."""
        return {
            "workers": self.workers,
            "start_timeout_s": self.start_timeout_s,
            "stall_timeout_s": self.stall_timeout_s,
            "cancel_timeout_s": self.cancel_timeout_s,
            "pipeline_options": dict(self.pipeline_options),
        }


class WorkerPlace(RemoteEngine):
    """How services that speak Beam's Job API start workers."""

    environment: Literal["process", "docker", "external"] = Field(
        default="process",
        description="How workers are started: by the command `klio-sdk-worker`, in a container, "
        "or they run already.",
    )
    worker: str | None = Field(
        default=None,
        description="Path of `klio-sdk-worker` where the workers run (that of this environment by "
        "default), the container's image, or the address of running workers.",
    )
    variables: dict[str, str] = Field(
        default={}, description="Environment variables of worker processes; not for secrets."
    )

    def _told(self) -> dict[str, Any]:
        """The same, and where the workers are.

        Raises:
            ConfigError: it is not said which image, or which address.
        """
        needed = {"docker": "the container's image", "external": "the workers' address"}
        is_said = self.worker or "environment_options" in self.pipeline_options
        if self.environment in needed and not is_said:
            raise ConfigError(
                f"environment '{self.environment}' needs worker",
                where=type(self).__name__,
                fix=f"set worker to {needed[self.environment]}",
            )
        told = super()._told()
        told |= {"environment": self.environment, "worker": self.worker}
        return told | {"variables": dict(self.variables)}


class PortableEngine(WorkerPlace):
    """Any service that speaks Beam's Job API."""

    kind: Literal["portable"] = "portable"
    job_endpoint: str = Field(description="Its address, host:port.")

    def to_manifest(self) -> dict[str, Any]:
        """The engine as the plain dict a manifest holds.

        Raises:
            ConfigError: it has no address, or does not say where the workers are.
        """
        if not self.job_endpoint:
            raise ConfigError(
                "it needs job_endpoint", where="PortableEngine", fix="set job_endpoint to host:port"
            )
        return {"kind": self.kind, **self._told(), "job_endpoint": self.job_endpoint}


class PrismEngine(WorkerPlace):
    """Beam's Prism: one that runs, or a binary that each run starts."""

    kind: Literal["prism"] = "prism"
    location: str | None = Field(default=None, description="Path of the binary.")
    job_endpoint: str | None = Field(default=None, description="Address of one that runs.")

    def to_manifest(self) -> dict[str, Any]:
        """The engine as the plain dict a manifest holds.

        Raises:
            ConfigError: neither or both of them are given, or not where the workers are.
        """
        if bool(self.location) == bool(self.job_endpoint):
            raise ConfigError(
                "it needs location or job_endpoint, and not both",
                where="PrismEngine",
                fix="set location to the path of the binary, or job_endpoint to host:port",
            )
        told = {"location": self.location, "job_endpoint": self.job_endpoint}
        return {"kind": self.kind, **self._told(), **told}


class FlinkEngine(WorkerPlace):
    """An Apache Flink cluster."""

    kind: Literal["flink"] = "flink"
    master: str = Field(description="Address of the JobManager's REST service, host:port.")
    job_server_jar: str | None = Field(
        default=None, description="Path of Beam's job server for the cluster's Flink."
    )
    job_endpoint: str | None = Field(
        default=None, description="Address of a job server that runs, instead."
    )
    parallelism: int = Field(
        default=1, ge=1, description="Task slots that a job takes, a worker process each."
    )

    def to_manifest(self) -> dict[str, Any]:
        """The engine as the plain dict a manifest holds.

        Raises:
            ConfigError: neither or both kinds of job server are given, or not where the workers
                are.
        """
        if bool(self.job_server_jar) == bool(self.job_endpoint):
            raise ConfigError(
                "it needs job_server_jar or job_endpoint, and not both",
                where="FlinkEngine",
                fix="set job_server_jar to the path of beam-runners-flink-*-job-server.jar, or"
                " job_endpoint to host:port",
            )
        told = {"job_server_jar": self.job_server_jar, "job_endpoint": self.job_endpoint}
        told |= {"master": self.master}
        return {"kind": self.kind, **self._told(), **told, "parallelism": self.parallelism}


class Prices(dg.Config):
    """What a unit of what a Dataflow job uses costs, by the region's price list."""

    model_config = _NO_OTHERS

    vcpu_hour: float = Field(default=0.0, ge=0)
    memory_gb_hour: float = Field(default=0.0, ge=0)
    disk_gb_hour: float = Field(default=0.0, ge=0)
    ssd_gb_hour: float = Field(default=0.0, ge=0)
    gpu_hour: float = Field(default=0.0, ge=0)
    shuffle_gb: float = Field(default=0.0, ge=0)
    currency: str = "USD"


class DataflowEngine(RemoteEngine):
    """Google Cloud Dataflow."""

    kind: Literal["dataflow"] = "dataflow"
    project: str = Field(description="Id of the Google Cloud project.")
    region: str = Field(description="Where jobs run, europe-west1 say.")
    temp_location: str = Field(description="Bucket and folder for what is temporary, gs://...")
    staging_location: str | None = Field(
        default=None, description="The same for what is staged; temp_location by default."
    )
    machine_type: str | None = Field(default=None, description="Of workers, n2-standard-4 say.")
    num_workers: int | None = Field(default=None, ge=1, description="Workers in the beginning.")
    max_num_workers: int | None = Field(default=None, ge=1, description="Workers at most.")
    autoscaling: bool = Field(default=True, description="The service chooses how many there are.")
    disk_size_gb: int | None = Field(default=None, ge=1, description="Disk of a worker.")
    disk_type: str | None = Field(default=None, description="Full name of the disk's type.")
    service_account: str | None = Field(default=None, description="Whom workers act as.")
    network: str | None = Field(default=None, description="Network of the workers.")
    subnetwork: str | None = Field(default=None, description="Subnetwork of the workers.")
    public_ips: bool = Field(default=True, description="Workers have public addresses.")
    image: str | None = Field(
        default=None, description="Container image of workers; `klio image build` writes one."
    )
    setup_file: str | None = Field(
        default=None, description="A setup.py that workers install, where there is no image."
    )
    extra_packages: list[str] = Field(
        default=[], description="Wheels that workers install, where there is no image."
    )
    labels: dict[str, str] = Field(default={}, description="Labels of the job.")
    flexrs: bool = Field(
        default=False,
        description="Cheaper, and delayed for up to six hours; start_timeout_s is seven at least.",
    )
    experiments: list[str] = Field(default=[], description="Experiments of Beam and the service.")
    kms_key: str | None = Field(default=None, description="Key that what it stores is encrypted by")
    endpoint: str | None = Field(default=None, description="Another service that speaks its API.")
    prices: Prices | None = Field(default=None, description="For the estimate of what a job costs.")

    def to_manifest(self) -> dict[str, Any]:
        """The engine as the plain dict a manifest holds.

        Raises:
            ConfigError: project or region is empty, or a location no folder of Cloud Storage.
        """
        self._check()
        told = self._told()
        if self.flexrs:
            told["start_timeout_s"] = max(self.start_timeout_s, _FLEXRS_STARTS_S)
        prices = {} if self.prices is None else self.prices.model_dump()
        currency = prices.pop("currency", None)
        return {
            "kind": self.kind,
            **told,
            "project": self.project,
            "region": self.region,
            "endpoint": self.endpoint,
            "prices": prices,
            "currency": currency,
            "pipeline_options": {**self._beam_options(), **self.pipeline_options},
        }

    def _check(self) -> None:
        """Refuse what Beam tries for minutes, or takes for a folder of this machine.

        Raises:
            ConfigError: as `to_manifest`.
        """
        for name in ("project", "region"):
            if not getattr(self, name):
                raise ConfigError("it is empty", f"DataflowEngine({name}=)", f"set the {name}")
        for name in ("temp_location", "staging_location"):
            place = getattr(self, name)
            if place is not None and not _IN_CLOUD_STORAGE.fullmatch(place):
                raise ConfigError(
                    f"{place!r} is no folder of Cloud Storage",
                    f"DataflowEngine({name}=)",
                    "write gs://bucket/folder",
                )

    def _beam_options(self) -> dict[str, Any]:
        """The fields under Beam's names; what is not set is Beam's own business."""
        options: dict[str, Any] = {
            "temp_location": self.temp_location,
            "staging_location": self.staging_location,
            "machine_type": self.machine_type,
            "num_workers": self.num_workers,
            "max_num_workers": self.max_num_workers,
            "autoscaling_algorithm": None if self.autoscaling else "NONE",
            "disk_size_gb": self.disk_size_gb,
            "disk_type": self.disk_type,
            "service_account_email": self.service_account,
            "network": self.network,
            "subnetwork": self.subnetwork,
            "use_public_ips": None if self.public_ips else False,
            "sdk_container_image": self.image,
            "setup_file": self.setup_file,
            "extra_packages": list(self.extra_packages) or None,
            "labels": [f"{key}={value}" for key, value in self.labels.items()] or None,
            "flexrs_goal": "COST_OPTIMIZED" if self.flexrs else None,
            "experiments": list(self.experiments) or None,
            "dataflow_kms_key": self.kms_key,
        }
        return {name: value for name, value in options.items() if value is not None}


Engine = LocalEngine | DataflowEngine | FlinkEngine | PrismEngine | PortableEngine
