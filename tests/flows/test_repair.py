"""A job that computes what failed, wherever it is in the catalogue."""

import dagster as dg
import pytest

from klio_dagster.defs.decorator import source_assets
from klio_dagster.defs.engines import LocalEngine
from klio_dagster.defs.repair import define_klio_repair_job
from klio_dagster.defs.resource import KlioResource
from klio_dagster.errors import ConfigError
from tests.flows.catalogue import Catalogue, tracks

BAD = ("b", "e", "h")


def repair_job(catalogue: Catalogue) -> dg.JobDefinition:
    made = tracks()
    return dg.Definitions(
        assets=[made, *source_assets(made)],
        jobs=[define_klio_repair_job(made)],
        resources={
            "klio": KlioResource(store=str(catalogue.folder), engine=LocalEngine(workers=1))
        },
        executor=dg.in_process_executor,
    ).resolve_job_def("repair_work")


def test_scattered_failures_are_mended_in_one_run(catalogue: Catalogue) -> None:
    catalogue.register(*"abcdefghi")
    for entity in "abcdefgh":  # nobody has ever asked for i
        catalogue.put(f"tracks/{entity}.txt", b"bad" if entity in BAD else b"good")
    catalogue.run(tracks(), entities=list("abcdefgh"))
    catalogue.put("tracks/b.txt", b"mended")
    catalogue.put("tracks/e.txt", b"mended")

    result = repair_job(catalogue).execute_in_process(
        instance=catalogue.instance, raise_on_error=False
    )

    assert not result.success, "h is as bad as before"
    assert catalogue.materialized("report") == set("abcdefg")
    made = catalogue.instance.all_logs(
        result.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
    )
    assert len(made) == 6, "three assets of b and e, nothing recorded again"
    statuses = catalogue.instance.get_status_by_partition(
        dg.AssetKey("report"), list("ghi"), partitions_def=tracks().partitions_def
    )
    assert statuses is not None
    assert [status and status.value for status in statuses.values()] == [
        "MATERIALIZED",
        "FAILED",
        None,
    ]


def test_a_repair_may_be_told_something_else(computed: Catalogue) -> None:
    result = repair_job(computed).execute_in_process(
        instance=computed.instance,
        run_config={"ops": {"work": {"config": {"entities": ["a"], "force": True}}}},
    )

    made = computed.instance.all_logs(
        result.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
    )
    assert {event.get_dagster_event().partition for event in made} == {"a"}


def test_only_groups_can_be_repaired() -> None:
    @dg.asset
    def other() -> None:
        """Not of ours."""

    with pytest.raises(ConfigError, match="'other' was not made by @klio_assets"):
        define_klio_repair_job(other)
