"""What we rely on in Dagster so that ops of entity assets run, in order, with our events only."""

from collections.abc import Mapping

import dagster as dg
import pytest

from klio_dagster.ledger.internals.definitions import (
    finished_outputs,
    runnable_without_partitions,
)

TRACKS = dg.DynamicPartitionsDefinition(name="tracks")
SOURCE = dg.AssetSpec("source", partitions_def=TRACKS)


def op_of(name: str, first: str, second: str, upstream: str) -> dg.AssetsDefinition:
    """An op of two assets, `second` from `first` from `upstream`, that says in which run it ran."""

    @dg.multi_asset(
        name=name,
        specs=[
            dg.AssetSpec(first, deps=[upstream], skippable=True),
            dg.AssetSpec(second, deps=[first], skippable=True),
        ],
        partitions_def=TRACKS,
        can_subset=True,
    )
    def compute(context: dg.AssetExecutionContext):
        context.log.info(f"{name} runs")
        selected = {key.to_user_string() for key in context.selected_asset_keys}
        yield from finished_outputs(context, [key for key in (first, second) if key in selected])

    return runnable_without_partitions(compute)


# The names are in the opposite order of what depends on what.
THEIRS = op_of("z_theirs", "recording", "loudness", "source")
OURS = op_of("a_ours", "mel", "features", "loudness")


@pytest.mark.parametrize("selection", [None, ["loudness", "mel"]], ids=["all", "a selection"])
@pytest.mark.parametrize(
    ("partition_key", "tags"),
    [
        pytest.param(None, {"dagster/defer_asset_events": "true"}, id="named entities"),
        pytest.param("b", {}, id="a partition"),
        pytest.param(
            None,
            {
                "dagster/asset_partition_range_start": "a",
                "dagster/asset_partition_range_end": "b",
            },
            id="a range",
        ),
    ],
)
def test_ops_follow_each_other_and_dagster_adds_no_event(
    partition_key: str | None, tags: Mapping[str, str], selection: list[str] | None
) -> None:
    job = dg.Definitions(assets=[SOURCE, THEIRS, OURS]).resolve_implicit_global_asset_job_def()
    with dg.instance_for_test() as instance:
        instance.add_dynamic_partitions("tracks", ["a", "b"])
        for key in ("source", "recording", "loudness", "mel"):
            event = dg.AssetMaterialization(key, partition="a", tags={"dagster/data_version": "1"})
            instance.report_runless_asset_event(event)

        result = job.execute_in_process(
            instance=instance,
            partition_key=partition_key,
            tags=dict(tags),
            asset_selection=[dg.AssetKey(key) for key in selection] if selection else None,
        )

        assert result.success
        kinds = [event.event_type_value for event in result.all_events]
        assert "ASSET_MATERIALIZATION" not in kinds
        assert "ASSET_OBSERVATION" not in kinds
        said = [entry.user_message for entry in instance.all_logs(result.run_id)]
        assert [line for line in said if line.endswith(" runs")] == ["z_theirs runs", "a_ours runs"]
