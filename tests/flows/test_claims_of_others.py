"""A live run holds its entities; a dead one's are free, and it is reported failed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import dagster as dg
import pytest

from klio_dagster.core.code_version import code_versions
from klio_dagster.core.manifest import Manifest, Task, part_specs
from klio_dagster.core.receipt import Receipt
from klio_dagster.defs.resource import KlioResource
from klio_dagster.store.claims import read_claims
from klio_dagster.store.layout import claim_path, manifest_head, manifest_part
from klio_dagster.store.open_claim import OpenClaim, open_claim
from klio_dagster.store.receipts import ReceiptPart
from klio_dagster.store.store import Store
from tests.flows.catalogue import Catalogue, all_of, the_group, tracks

ASSETS = ("recording", "mel", "report")


def claim(store: Store, entities: list[str]) -> OpenClaim:
    """The claim of a live run, this process's, that computes all of these entities."""
    made = the_group(tracks())
    run_id = str(uuid4())
    opened = open_claim(store, run_id, assets=ASSETS)
    manifest = Manifest(
        run=run_id,
        store=store.url,
        parts=[manifest_part(run_id, 0)],
        chain=part_specs(made.chain, made.chain.order, code_versions(made.chain), made.keys),
        engine={"kind": "local"},
    )
    lines = (Task(entity=entity, run=ASSETS).to_line() for entity in entities)
    store.put(manifest.parts[0], "".join(lines).encode())
    store.put(manifest_head(run_id), manifest.to_json().encode())
    opened.set_manifest(manifest_head(run_id))
    return opened


def test_a_run_that_meets_a_live_claim_does_the_rest_and_says_what_waits(
    computed: Catalogue,
) -> None:
    unrelated = claim(computed.store, ["somebody"])
    holding = claim(computed.store, ["b"])

    ran = computed.run(tracks(factor=2), entities="all", max_wait_s=0.0)

    assert ran.success
    assert ran.counts("materialized") == {"recording": 0, "mel": 1, "report": 1}
    assert ran.counts("waiting") == all_of(1)
    assert f"waiting for run {holding.claim.run_id} to finish 1 of the entities" in ran.log
    assert {state.claim.run_id for state in read_claims(computed.store)} == {
        unrelated.claim.run_id,
        holding.claim.run_id,
    }, "it gave back what it held itself"
    assert computed.reasons(tracks(factor=2), "b")["recording"] == "in_flight"


def test_a_run_that_has_not_planned_yet_holds_all_entities_of_its_assets(
    computed: Catalogue,
) -> None:
    open_claim(computed.store, str(uuid4()), assets=["mel"])

    held = computed.run(tracks(), entities=["a"], max_wait_s=0.0)

    assert held.counts("waiting") == {"recording": 0, "mel": 1, "report": 1}
    assert computed.run(tracks(), entities=["a"], select=["recording"]).success


def test_a_run_of_other_entities_proceeds_beside_a_live_one(computed: Catalogue) -> None:
    holding = claim(computed.store, ["b"])

    beside = computed.run(tracks(factor=2), entities=["a"])

    assert beside.counts("materialized") == {"recording": 0, "mel": 1, "report": 1}
    assert [state.claim.run_id for state in read_claims(computed.store)] == [holding.claim.run_id]


def test_what_a_live_run_finished_counts_before_it_is_recorded(computed: Catalogue) -> None:
    made = the_group(tracks(factor=2))
    holding = claim(computed.store, ["b"])
    part = ReceiptPart(computed.store, holding.claim.run_id, "1")
    records = computed.ledger.records(ASSETS, ["b"])
    for asset in ASSETS:
        inputs = records[asset]["b"].input_versions
        part.write(
            Receipt(
                run=holding.claim.run_id,
                entity="b",
                asset=asset,
                data_version=records[asset]["b"].data_version or "",
                code_version=made.code_versions[asset],
                inputs=dict(inputs),
                finished_at=records[asset]["b"].timestamp + 1,
            )
        )
    part.close()

    run = computed.run(tracks(factor=2), entities=["b"])

    assert run.counts("skipped") == all_of(1)


@pytest.fixture
def dead_run(computed: Catalogue) -> str:
    """A run of a process that is gone; it had finished c's recording."""
    run = computed.instance.create_run_for_job(
        job_def=dg.Definitions(
            assets=[tracks()], resources={"klio": KlioResource()}
        ).resolve_implicit_global_asset_job_def(),
        tags={"dagster/defer_asset_events": "true"},
    )
    computed.register("c")
    dying = (
        "import sys; from klio_dagster.store.open_claim import open_claim;"
        "from klio_dagster.store.store import Store;"
        f"open_claim(Store.open(sys.argv[1]), sys.argv[2], assets={ASSETS!r})"
    )
    subprocess.run([sys.executable, "-c", dying, computed.store.url, run.run_id], check=True)
    path = Path(computed.folder) / claim_path(run.run_id)
    assert json.loads(path.read_bytes())["launcher"]["pid"] != os.getpid()
    made = the_group(tracks())
    computed.put("tracks/c.txt", b"third")
    computed.put("recording/c.json", b'{"id":"c","text":"third"}')
    part = ReceiptPart(computed.store, run.run_id, "1")
    part.write(
        Receipt(
            run=run.run_id,
            entity="c",
            asset="recording",
            data_version="c1",
            code_version=made.code_versions["recording"],
            finished_at=1.9e9,
        )
    )
    part.close()
    return run.run_id


def test_a_dead_runs_work_is_kept_and_the_run_is_reported_failed(
    computed: Catalogue, dead_run: str
) -> None:
    run = computed.run(tracks(), entities="all", rerun_on=["code_changed"])

    assert run.counts("materialized") == {"recording": 0, "mel": 1, "report": 1}
    assert computed.load("report/c.json")["of"]["text"] == "third"
    dead = computed.instance.get_run_by_id(dead_run)
    assert dead is not None
    assert dead.status is dg.DagsterRunStatus.FAILURE
    record = computed.instance.get_latest_materialization_event(dg.AssetKey("recording"))
    assert record is not None
    assert record.run_id == dead_run
    assert f"run {dead_run} had died; what it finished is recorded" in run.log
    assert read_claims(computed.store) == []
