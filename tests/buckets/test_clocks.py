"""The clock of a host and that of the bucket's server differ by an hour."""

import dagster as dg
import pytest

from klio_dagster.codecs.hashing import data_version
from klio_dagster.codecs.json import Json
from klio_dagster.core.receipt import Receipt
from klio_dagster.defs.decorator import source_assets
from klio_dagster.errors import StoreForbiddenError, StoreLoginError
from klio_dagster.store.claims import read_claims
from klio_dagster.store.layout import CLOCK_PATH, output_path
from klio_dagster.store.receipt_objects import ReceiptObjects
from klio_dagster.store.store import Store
from klio_dagster.streaming.retry_sensor import build_klio_retry_sensor
from tests.buckets.bucket_catalogue import BucketCatalogue
from tests.flows.catalogue import all_of, the_group, tracks
from tests.services.buckets import bucket_at
from tests.services.faults import Fault, FaultyProxy
from tests.services.gcs import GcsServer
from tests.store.elsewhere import held_elsewhere

HOUR = 3600.0
ASSETS = ("recording", "mel", "report")
an_hour_off = pytest.mark.parametrize("by_s", [HOUR, -HOUR], ids=["we are slow", "we are fast"])


def tries_again(catalogue: BucketCatalogue) -> bool:
    """A tick of the retry sensor asks for a run."""
    group = tracks()
    sensor = build_klio_retry_sensor(assets=group)
    resources = {"klio": catalogue.klio}
    defs = dg.Definitions([group, *source_assets(group)], sensors=[sensor], resources=resources)
    with dg.build_sensor_context(
        instance=catalogue.instance, definitions=defs, resources=resources, sensor_name=sensor.name
    ) as context:
        result = sensor(context)
    assert isinstance(result, dg.SensorResult)
    return bool(result.run_requests)


@an_hour_off
def test_a_live_claim_of_another_machine_is_waited_for_and_a_silent_one_is_not(
    catalogue: BucketCatalogue, direct: Store, gcs: GcsServer, by_s: float
):
    gcs.buckets.offset_s = by_s
    catalogue.fill(2)
    held_elsewhere(direct, "other-run", assets=ASSETS)
    assert [state.is_alive for state in read_claims(direct)] == [True]

    waits = catalogue.run(tracks(), max_wait_s=0.0)
    gcs.buckets.offset_s += 61
    goes_on = catalogue.run(tracks(), max_wait_s=0.0)

    assert waits.counts("waiting") == all_of(2), waits.error
    assert goes_on.counts("materialized") == all_of(2), goes_on.error
    assert list(direct.list("_klio/open/")) == []


@an_hour_off
def test_our_own_claim_lives_through_a_run_and_its_receipts_are_by_the_buckets_clock(
    catalogue: BucketCatalogue, gcs: GcsServer, by_s: float
):
    gcs.buckets.offset_s = by_s
    catalogue.fill(2)

    done = catalogue.run(tracks())

    assert done.counts("materialized") == all_of(2), done.error
    for record in catalogue.ledger.records(["mel"], None)["mel"].values():
        assert abs(record.timestamp - gcs.buckets.now()) < 30


@pytest.mark.parametrize("later_s, wins", [(-60.0, False), (60.0, True)], ids=["older", "newer"])
def test_what_a_dead_run_of_another_host_left_is_news_only_if_it_is_newer(
    catalogue: BucketCatalogue, direct: Store, gcs: GcsServer, later_s: float, wins: bool
):
    gcs.buckets.offset_s = HOUR  # our own clock is an hour slow
    (name,) = catalogue.fill(1)
    catalogue.run(tracks())
    before = catalogue.ledger.records(ASSETS, [name])["report"][name]
    held_elsewhere(direct, "other-run", assets=ASSETS)
    data = Json().dump({"computed": "there"}).data
    receipt = Receipt(
        run="other-run",
        entity=name,
        asset="report",
        uri=direct.uri(output_path("report", name, ".json")),
        data_version=data_version(data),
        code_version=the_group(tracks()).code_versions["report"],
        inputs=dict(before.input_versions),
        finished_at=before.timestamp + later_s,
    )
    objects = ReceiptObjects(direct, "other-run")
    objects.add(receipt.to_line())
    objects.close()
    gcs.buckets.offset_s += 120

    catalogue.run(tracks())

    after = catalogue.ledger.records(ASSETS, [name])["report"][name]
    assert (after.data_version == data_version(data)) == wins


def test_where_we_may_not_write_the_time_is_our_own(direct: Store, gcs: GcsServer):
    held_elsewhere(direct, "other-run", assets=ASSETS)
    asked: list[str] = []

    class ReadOnly(Store):
        def put(self, path: str, data: bytes) -> None:
            asked.append(path)
            raise StoreForbiddenError("closed", path, "open it")

    store = ReadOnly(direct._location, direct.options)

    assert [state.is_alive for state in read_claims(store)] == [True]
    assert asked == [CLOCK_PATH]


def test_a_machine_whose_clock_is_refused_does_not_ask_itself_for_the_time(
    gcs: GcsServer, proxy: FaultyProxy
):
    bucket = bucket_at("gs", gcs.url)
    held_elsewhere(bucket.store(), "other-run", assets=ASSETS)

    with (
        proxy.broken(Fault(status=403, code="RequestTimeTooSkewed", on="PUT")),
        pytest.raises(StoreLoginError, match="clock"),
    ):
        read_claims(bucket.at(proxy.url).store())


@an_hour_off
def test_what_a_plan_fails_is_recorded_by_the_buckets_clock_as_well(
    catalogue: BucketCatalogue, gcs: GcsServer, by_s: float
):
    gcs.buckets.offset_s = by_s
    catalogue.fill(1)
    catalogue.register("gone")

    done = catalogue.run(tracks())

    assert set(done.failures) == {("gone", "recording")}
    for asset in ("recording", "mel"):
        records = catalogue.ledger.records([asset], None)[asset]
        assert records["gone"].failed
        assert abs(records["gone"].timestamp - gcs.buckets.now()) < 30


@an_hour_off
def test_what_failed_rests_by_the_buckets_clock(
    catalogue: BucketCatalogue, gcs: GcsServer, by_s: float
):
    gcs.buckets.offset_s = by_s
    catalogue.register("gone")
    catalogue.run(tracks())

    at_once = tries_again(catalogue)
    gcs.buckets.offset_s += 120
    later = tries_again(catalogue)

    assert (at_once, later) == (False, True)
