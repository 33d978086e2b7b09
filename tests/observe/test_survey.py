"""Counting by what is known alike gives what counting one by one gives."""

from collections import Counter

import pytest

from klio_dagster.core.request import Request
from klio_dagster.core.state import State, states
from klio_dagster.ledger.events import RunIdentity
from klio_dagster.ledger.in_flight import in_flight
from klio_dagster.observe.survey import surveyed
from klio_dagster.store.open_claim import open_claim
from tests.flows.catalogue import Catalogue, opened, the_group, tracks
from tests.ledger.catalogue import failed

GROUP = the_group(tracks())
NAMES = ["recording", "mel", "report"]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory) -> Catalogue:
    """Up to date, changed, failed, without a source, never tried, and with quotes in versions."""
    with opened(tmp_path_factory.mktemp("mixed")) as catalogue:
        names = ["done", "done too", "changed", "half", "late", "gone", '"quoted" é']
        catalogue.register(*names, "never", "nowhere")
        for name in names:
            catalogue.store.put(f"tracks/{name}.txt", name.encode())
        catalogue.run(tracks(), entities=["done", "done too", "changed", "late", "gone", names[-1]])
        catalogue.run(tracks(), select=["recording"], entities=["half"])
        catalogue.run(tracks(), entities=["nowhere"])
        catalogue.put("tracks/changed.txt", b"something else")
        (catalogue.folder / "tracks/gone.txt").unlink()
        at = 4e9  # after all of them
        run = RunIdentity(run_id="late", job_name="j", step_key=None)
        catalogue.ledger.record(run, [failed("late", at=at - 1_790_000_000.0, asset="mel")])
        yield catalogue


def one_by_one(catalogue: Catalogue, assets) -> dict[str, dict[str, int]]:
    entities = catalogue.instance.get_dynamic_partitions("tracks")
    plan = catalogue.plan(assets, *entities)
    records = catalogue.ledger.records(NAMES, None)
    counted = {name: Counter(dict.fromkeys(State, 0)) for name in NAMES}
    for asset, _, state in states(plan, records):
        counted[asset][state] += 1
    for counts in counted.values():
        counts[State.MATERIALIZED] += counts[State.STALE]
    return {
        name: {state.value: counts[state] for state in State} for name, counts in counted.items()
    }


def all_at_once(catalogue: Catalogue, assets) -> dict[str, dict[str, int]]:
    group = the_group(assets)
    entities = tuple(catalogue.instance.get_dynamic_partitions("tracks"))
    found = surveyed(
        group,
        Request(entities=entities),
        NAMES,
        ledger=catalogue.ledger,
        store=catalogue.store,
        partitioned=(),
        in_flight=in_flight(catalogue.store, NAMES, entities),
    )
    assert found.entities == len(entities)
    return {name: dict(counts) for name, counts in found.assets.items()}


@pytest.mark.parametrize("factor", [1, 2], ids=["same code", "changed code"])
def test_the_counts_are_those_of_the_plan(mixed, factor):
    assets = tracks(factor)

    found = all_at_once(mixed, assets)

    assert found == one_by_one(mixed, assets)
    assert found["mel"]["stale"] > 0
    assert found["mel"]["failed"] > 0
    assert found["mel"]["missing"] > 0


def test_what_a_live_run_holds_is_not_stale(mixed):
    claim = open_claim(mixed.store, "alive", assets=["mel"])

    found = all_at_once(mixed, tracks(2))

    assert found == one_by_one(mixed, tracks(2))
    assert found["mel"]["stale"] == 0
    claim.close()
