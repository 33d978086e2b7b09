"""What the Dataflow double says a job has used: the service's own metrics, by their names.

Units are those of the service: vCPU seconds, MB seconds, GB seconds. They follow from how long the
job has been RUNNING and from its workers; a second here costs what a second costs there.
"""

import time
from typing import Any

from tests.services.dataflow_job import Job, stamp

_MEMORY_MB_PER_VCPU = {"n1": 3840, "n2": 4096, "e2": 4096}
_DISK_GB = 25  # of a batch worker that shuffles in the service
_SERVICE = "dataflow/v1b3"


def metrics(job: Job, workers: int) -> dict[str, Any]:
    """The answer to a request for a job's metrics.

    Args:
        job: that is asked about.
        workers: how many machines it has.
    """
    now = stamp(time.time())
    found = [*_used(job, workers), *job.user_metrics]
    return {"metricTime": now, "metrics": [{**each, "updateTime": now} for each in found]}


def _used(job: Job, workers: int) -> list[dict[str, Any]]:
    family, _, size = job.machine_type.partition("-")
    cpus = int(size.rpartition("-")[2]) * workers
    memory = _MEMORY_MB_PER_VCPU.get(family, 4096) * cpus
    disk = (job.worker_pool.get("diskSizeGb") or _DISK_GB) * workers
    seconds = job.running_s()
    now = {
        "CurrentVcpuCount": ("Service-cpu_num", cpus),
        "CurrentMemoryUsage": ("Service-mem_mb", memory),
        "CurrentPdUsage": ("Service-pd_gb", disk),
        "CurrentSsdUsage": ("Service-pd_ssd_gb", 0),
    }
    in_all = {
        "TotalVcpuTime": ("Service-cpu_num_seconds", cpus * seconds),
        "TotalMemoryUsage": ("Service-mem_mb_seconds", memory * seconds),
        "TotalPdUsage": ("Service-pd_gb_seconds", disk * seconds),
        "TotalSsdUsage": ("Service-pd_ssd_gb_seconds", 0),
        "TotalStreamingDataProcessed": ("Service-streaming_service_gb", 0),
        "TotalShuffleDataProcessed": ("Service-shuffle_service_actual_gb", 0),
        "BillableShuffleDataProcessed": ("Service-shuffle_service_chargeable_gb", 0),
    }
    return [
        {
            "name": {
                "origin": _SERVICE,
                "name": name,
                "context": {"original_name": original, **variant},
            },
            "scalar": round(value),
        }
        for name, (original, value) in (in_all if job.is_over else now | in_all).items()
        for variant in ({}, {"tentative": "true"})
    ]
