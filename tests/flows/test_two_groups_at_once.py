"""Dagster's own executor computes the groups of one run at the same time."""

from pathlib import Path

import dagster as dg
import pytest

from klio_dagster.defs.partitions import register
from klio_dagster.store.claims import read_claims
from klio_dagster.store.layout import failures_path, work_id_of
from klio_dagster.store.store import Store
from tests.flows import two_groups_defs as groups


def test_two_groups_of_one_run_are_computed_at_once_and_each_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(groups.MEETING, str(tmp_path))
    monkeypatch.setenv(groups.STORE, str(tmp_path / "store"))
    config = {"config": {"entities": groups.ENTITIES}}
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        register(instance, "entities", groups.ENTITIES)

        result = dg.execute_job(
            dg.reconstructable(groups.both),
            instance,
            run_config={"ops": {"lefts": config, "rights": config}},
            tags={"dagster/defer_asset_events": "true"},
        )

        made = {
            name: instance.get_materialized_partitions(dg.AssetKey(name))
            for name in ("left", "right")
        }
    store = Store.open(str(tmp_path / "store"))
    assert made == {"left": {"a", "b"}, "right": {"a"}}
    assert store.get("left/a.json") == store.get("right/a.json") == b"true"
    assert b"no b on this side" in store.get(failures_path(work_id_of(result.run_id, "rights")))
    assert read_claims(store) == []
