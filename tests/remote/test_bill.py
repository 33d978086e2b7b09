"""What a job of Dataflow's costs, by hand: each price is for the unit beside it."""

from types import SimpleNamespace
from typing import Any

import pytest

from klio_dagster.defs.engines import DataflowEngine, Prices
from klio_dagster.engine.beam.dataflow_bill import PRICED, bill_of
from klio_dagster.engine.options import DataflowOptions, engine_options
from klio_dagster.engine.remote.job import Bill


def on(**prices: Any) -> DataflowOptions:
    engine = DataflowEngine(
        project="p", region="r", temp_location="gs://b/t", prices=Prices(**prices)
    )
    options = engine_options(engine.to_manifest())
    assert isinstance(options, DataflowOptions)
    return options


def metric(name: str, value: Any, *, is_tentative: bool = False) -> Any:
    """As the service tells it."""
    context = {"tentative": "true"} if is_tentative else {}
    return SimpleNamespace(
        name=SimpleNamespace(name=name, context=context),
        scalar=SimpleNamespace(number_value=value) if value is not None else None,
    )


@pytest.mark.parametrize(
    ("counter", "used", "price", "cost"),
    [
        pytest.param("TotalVcpuTime", 7200.0, {"vcpu_hour": 0.06}, 0.12, id="2 vCPU hours"),
        # 8 GB for half an hour: 8192 MB x 1800 s, that is 4 GB hours.
        pytest.param(
            "TotalMemoryUsage", 14_745_600.0, {"memory_gb_hour": 0.004}, 0.016, id="4 GB hours"
        ),
        # 250 GB for two hours.
        pytest.param(
            "TotalPdUsage", 1_800_000.0, {"disk_gb_hour": 0.0001}, 0.05, id="500 GB hours of disk"
        ),
        pytest.param(
            "TotalSsdUsage", 360_000.0, {"ssd_gb_hour": 0.0003}, 0.03, id="100 GB hours of SSD"
        ),
        pytest.param("TotalGpuTime", 1800.0, {"gpu_hour": 2.5}, 1.25, id="half a GPU hour"),
        pytest.param(
            "BillableShuffleDataProcessed",
            10_737_418_240.0,
            {"shuffle_gb": 0.011},
            0.11,
            id="10 GiB of shuffle",
        ),
    ],
)
def test_one_thing_costs_what_its_price_says(
    counter: str, used: float, price: dict[str, float], cost: float
) -> None:
    assert bill_of([metric(counter, used)], on(**price)) == Bill({counter: used}, cost, "USD")


def test_what_is_used_adds_up() -> None:
    """Ten workers of 4 vCPUs, 16 GB and 250 GB of disk, for 90 minutes."""
    used = [
        metric("TotalVcpuTime", 10 * 4 * 5400.0),
        metric("TotalMemoryUsage", 10 * 16 * 1024 * 5400.0),
        metric("TotalPdUsage", 10 * 250 * 5400.0),
    ]
    prices = {"vcpu_hour": 0.056, "memory_gb_hour": 0.003557, "disk_gb_hour": 0.000054}

    bill = bill_of(used, on(**prices, currency="EUR"))

    # 60 vCPU hours 3.36, 240 GB hours 0.85368, 3750 GB hours 0.2025
    assert (bill.cost, bill.currency) == (4.4162, "EUR")


def test_what_was_not_told_costs_nothing() -> None:
    bill = bill_of([metric("TotalGpuTime", None)], on(vcpu_hour=0.06, gpu_hour=2.5))

    assert bill == Bill({}, 0.0, "USD")


def test_nothing_used_costs_nothing() -> None:
    zeros = [metric(name, 0.0) for name in PRICED]

    assert bill_of(zeros, on(vcpu_hour=0.06)) == Bill(dict.fromkeys(PRICED, 0.0), 0.0, "USD")


def test_a_counter_without_a_price_is_shown_and_not_counted() -> None:
    used = [metric("TotalVcpuTime", 3600.0), metric("ElementCount", 800.0)]

    bill = bill_of(used, on(vcpu_hour=0.06))

    assert bill.counters == {"TotalVcpuTime": 3600.0, "ElementCount": 800.0}
    assert bill.cost == 0.06


def test_a_value_that_may_change_yet_does_not_hide_the_one_that_counts() -> None:
    used = [
        metric("TotalVcpuTime", 3600.0),
        metric("TotalVcpuTime", 9999.0, is_tentative=True),
    ]

    assert bill_of(used, on(vcpu_hour=0.06)).counters == {"TotalVcpuTime": 3600.0}


def test_without_prices_there_is_no_estimate() -> None:
    engine = DataflowEngine(project="p", region="r", temp_location="gs://b/t")
    options = engine_options(engine.to_manifest())
    assert isinstance(options, DataflowOptions)

    bill = bill_of([metric("TotalVcpuTime", 3600.0)], options)

    assert bill == Bill({"TotalVcpuTime": 3600.0})
    assert bill.cost is None


def test_every_price_that_can_be_given_is_one_of_something_that_is_counted() -> None:
    assert {price for price, _ in PRICED.values()} == set(Prices.model_fields) - {"currency"}
