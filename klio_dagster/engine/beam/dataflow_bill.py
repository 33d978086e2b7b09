"""What a Dataflow job has used, and what that costs by the prices the engine was given.

The service's own names of what it counts; a price is for the unit beside it. Google's prices differ
by region and change, so none is built in.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from klio_dagster.engine.options import DataflowOptions
from klio_dagster.engine.remote.job import Bill

_HOUR = 3600.0
# Counter of the service to the name of its price, and how many of its units one priced unit is.
PRICED: Mapping[str, tuple[str, float]] = {
    "TotalVcpuTime": ("vcpu_hour", _HOUR),  # seconds
    "TotalMemoryUsage": ("memory_gb_hour", 1024 * _HOUR),  # MB seconds
    "TotalPdUsage": ("disk_gb_hour", _HOUR),  # GB seconds
    "TotalSsdUsage": ("ssd_gb_hour", _HOUR),  # GB seconds
    "TotalGpuTime": ("gpu_hour", _HOUR),  # seconds
    "BillableShuffleDataProcessed": ("shuffle_gb", float(1 << 30)),  # bytes
}


def bill_of(metrics: Iterable[Any], options: DataflowOptions) -> Bill:
    """What was used, by counter, and an estimate of its cost.

    Args:
        metrics: of the job, as the service tells them.
        options: of the engine, with its prices.
    """
    counters: dict[str, float] = {}
    for each in metrics:
        if "tentative" in each.name.context:
            continue
        value = _number(each.scalar)
        if value is not None:
            counters[each.name.name] = value
    if not options.prices:
        return Bill(counters)
    cost = 0.0
    for name, (price, units) in PRICED.items():
        cost += counters.get(name, 0.0) / units * options.prices.get(price, 0.0)
    return Bill(counters, round(cost, 4), options.currency)


def _number(value: object) -> float | None:
    """A number, as protobuf's values hold it or plain."""
    told: object = getattr(value, "number_value", value)
    return float(told) if isinstance(told, int | float) else None
