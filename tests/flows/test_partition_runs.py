"""Runs that Dagster itself gave a partition or a range, as the UI starts them."""

import dagster as dg
import pytest

from klio_dagster.defs import recorder
from tests.flows.catalogue import ENTITY_RUN, Catalogue, all_of, tracks

RANGE = {
    "dagster/asset_partition_range_start": "b",
    "dagster/asset_partition_range_end": "d",
}


def statuses(catalogue: Catalogue, asset: str, entities: str) -> dict[str, str | None]:
    by_partition = catalogue.instance.get_status_by_partition(
        dg.AssetKey(asset), list(entities), partitions_def=tracks().partitions_def
    )
    assert by_partition is not None
    return {entity: status.value if status else None for entity, status in by_partition.items()}


def materializations(catalogue: Catalogue, run_id: str) -> int:
    kind = dg.DagsterEventType.ASSET_MATERIALIZATION
    return len(catalogue.instance.all_logs(run_id, of_type=kind))


def test_a_run_of_one_partition_computes_that_one(computed: Catalogue) -> None:
    computed.register("c", "d")
    computed.put("tracks/c.txt", b"third")

    run = computed.run(tracks(), partition_key="c")

    assert run.success
    assert run.counts("materialized") == all_of(1)
    assert computed.materialized("report") == {"a", "b", "c"}
    assert materializations(computed, run.run_id) == 3, "Dagster adds none of its own"
    assert statuses(computed, "report", "acd") == {
        "a": "MATERIALIZED",
        "c": "MATERIALIZED",
        "d": None,
    }


def test_a_run_of_one_bad_partition_shows_it_failed(computed: Catalogue) -> None:
    computed.register("c")
    computed.put("tracks/c.txt", b"bad")

    run = computed.run(tracks(), partition_key="c")

    assert run.error.startswith("1 failed, 2 blocked by them: c: ValueError: it says bad")
    for asset in all_of(0):
        assert statuses(computed, asset, "abc") == {
            "a": "MATERIALIZED",
            "b": "MATERIALIZED",
            "c": "FAILED",
        }


def test_a_run_of_a_range_computes_what_is_missing_in_it(computed: Catalogue) -> None:
    computed.register("c", "d", "e")
    for entity in "cde":
        computed.put(f"tracks/{entity}.txt", b"more")

    run = computed.run(tracks(), tags=RANGE)

    assert run.success
    assert run.counts("materialized") == all_of(2)
    assert run.counts("skipped") == all_of(1)
    assert computed.materialized("mel") == set("abcd")
    assert materializations(computed, run.run_id) == 9, "six computed, and three recorded again"


def test_a_range_with_one_failure_shows_only_that_one_failed(computed: Catalogue) -> None:
    computed.register("c", "d", "e")
    computed.put("tracks/c.txt", b"bad")
    computed.put("tracks/d.txt", b"fourth")
    before = computed.ledger.records(["mel"], ["b"])["mel"]["b"]

    run = computed.run(tracks(), tags=RANGE)

    assert not run.success
    for asset in all_of(0):
        assert statuses(computed, asset, "abcde") == {
            "a": "MATERIALIZED",
            "b": "MATERIALIZED",
            "c": "FAILED",
            "d": "MATERIALIZED",
            "e": None,
        }
    after = computed.ledger.records(["mel"], ["b"])["mel"]["b"]
    assert after._replace(storage_id=before.storage_id, event_id=before.event_id) == before
    assert computed.reasons(tracks(), "b") == dict.fromkeys(all_of(0), "up_to_date")


def test_a_partition_that_is_not_asked_for_is_recorded_again_with_its_old_code(
    computed: Catalogue,
) -> None:
    """`entities: missing` narrows the range down; b is stale by then and stays so."""
    computed.register("c", "d")
    computed.put("tracks/c.txt", b"third")
    computed.put("tracks/d.txt", b"fourth")
    newer = tracks(factor=2)

    run = computed.run(newer, tags=RANGE, entities="missing")

    assert run.counts("materialized") == all_of(2)
    assert statuses(computed, "mel", "bcd") == dict.fromkeys("bcd", "MATERIALIZED")
    assert computed.reasons(newer, "b")["mel"] == "code_changed"


def test_a_run_that_names_its_entities_records_nothing_again(computed: Catalogue) -> None:
    run = computed.run(tracks(), entities="all")

    assert run.counts("skipped") == all_of(2)
    assert materializations(computed, run.run_id) == 0

    of_a_range = computed.run(tracks(), tags={**RANGE, **ENTITY_RUN}, entities=["a"])
    assert materializations(computed, of_a_range.run_id) == 0


def test_the_runs_log_tells_how_far_it_is(
    computed: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "_SAID_EVERY_S", 0.0)
    computed.register("c")
    computed.put("tracks/c.txt", b"third")

    run = computed.run(tracks(), entities="all")

    assert run.log[0] == "computing 3 outputs"
    assert "3 done, 0 failed, 0 left of 3" in run.log
    assert run.log[-1] == "; ".join(
        f"{asset}: 1 materialized, 2 skipped, 0 failed, 0 waiting" for asset in all_of(0)
    )


def test_a_setting_that_hides_failed_partitions_warns_in_one_line(
    computed: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS", "1")

    run = computed.run(tracks(), entities="all")

    assert run.success
    assert run.log[0] == (
        "DAGSTER_EMIT_PARTITION_SUBSET_IN_PLANNED_EVENTS is set:"
        " unset it, or failed entities are not shown failed"
    )
