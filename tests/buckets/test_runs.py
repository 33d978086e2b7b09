"""What a run does with a bucket for a store is what it does with a folder."""

import json
import os

from klio_dagster.codecs.json import Json
from klio_dagster.core.asset import EntityAsset
from klio_dagster.ledger.in_flight import finished_receipts
from klio_dagster.store.layout import manifest_head
from klio_dagster.store.receipts import compacted
from klio_dagster.store.store import Store
from tests.buckets.bucket_catalogue import BucketCatalogue
from tests.flows import flow_jobs as jobs
from tests.flows.catalogue import all_of, group, tracks
from tests.services.faults import FaultyProxy


def test_a_run_is_computed_recorded_and_skipped_the_next_time(
    catalogue: BucketCatalogue, direct: Store
):
    names = catalogue.fill(5)

    first = catalogue.run(tracks())
    again = catalogue.run(tracks())

    assert first.counts("materialized") == all_of(5), first.error
    assert again.counts("skipped") == all_of(5)
    assert {info.path for info in direct.list("mel/")} == {f"mel/{n}.json" for n in names}
    assert catalogue.materialized("report") == set(names)
    assert len(compacted(direct, first.run_id)) == 15
    assert list(finished_receipts(direct, first.run_id)) == []
    assert list(direct.list("_klio/open/")) == []


def test_no_credential_is_written_into_the_bucket(catalogue: BucketCatalogue, direct: Store):
    catalogue.fill(2)
    secret = "x-very-secret"
    # Nobody's server asks for it; it stands for a key all the same.
    options = {k: v for k, v in catalogue.options.items() if k != "skip_signature"}
    catalogue.options = {**options, "bearer_token": secret}

    done = catalogue.run(tracks())

    assert done.counts("materialized") == all_of(2), done.error
    manifest = json.loads(direct.get(manifest_head(done.run_id)))
    assert manifest["store"] == catalogue.bucket.url
    for info in direct.list():
        assert secret.encode() not in direct.get(info.path), info.path
    assert all(secret not in text for text in [*done.log, str(catalogue.store), done.error])
    assert "KLIO_STORE_OPTIONS" not in os.environ


def test_a_worker_that_dies_costs_nobody_else_his_receipts(catalogue: BucketCatalogue):
    names = catalogue.fill(6)
    catalogue.put("tracks/track-0002.txt", b"SIGKILL")

    done = catalogue.run(
        group(
            EntityAsset("recording", jobs.text, source="tracks/{entity}.txt", output=Json()),
            EntityAsset("mel", dies_of_kill, deps=["recording"], output=Json()),
        )
    )

    assert done.counts("materialized") == {"recording": 6, "mel": 5}, done.error
    assert done.failures == {("track-0002", "mel"): done.failures["track-0002", "mel"]}
    assert "SIGKILL" in done.failures["track-0002", "mel"]
    assert catalogue.materialized("recording") == set(names)


def dies_of_kill(entity: object, recording: object) -> object:
    if "SIGKILL" in str(recording):
        os.kill(os.getpid(), 9)
    return recording


def test_ten_thousand_that_are_up_to_date_would_cost_no_request_each(
    catalogue: BucketCatalogue, proxy: FaultyProxy
):
    asked: dict[int, int] = {}
    for entities in (20, 300):
        catalogue.fill(entities)
        assert catalogue.run(tracks()).success
        before = proxy.count()

        assert catalogue.run(tracks()).counts("skipped") == all_of(entities)

        asked[entities] = proxy.count() - before

    assert asked[300] <= asked[20] + 2, asked
    assert asked[300] < 20, asked
