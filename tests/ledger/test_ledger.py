"""Both ledgers, the batched one and the public path, answer alike."""

import time
from dataclasses import replace
from itertools import permutations

import dagster as dg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from klio_dagster.core.fold import as_record, fold, unrecorded
from klio_dagster.defs.metadata import metadata_of
from klio_dagster.ledger.ledger import BatchedLedger, Ledger, ledger_of
from klio_dagster.ledger.public_path import PublicLedger
from tests.ledger.catalogue import (
    LEDGERS,
    START,
    failed,
    mel,
    new_run,
    recording,
)
from tests.ledger.storages import KINDS


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def kind(request):
    return request.param


def public_names(thing):
    return {name for name in dir(thing) if not name.startswith("_")}


@pytest.mark.parametrize("kind", [BatchedLedger, PublicLedger], ids=["batched", "public"])
def test_every_ledger_answers_the_whole_protocol(kind):
    assert public_names(Ledger) <= public_names(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_log_in_sqlite_or_postgresql_is_written_in_batches(instance):
    assert isinstance(ledger_of(instance, describe=metadata_of), BatchedLedger)


def test_another_event_log_takes_the_public_path():
    with dg.DagsterInstance.ephemeral() as instance:
        ledger = ledger_of(instance, describe=metadata_of)
        ledger.record(new_run(), [recording("a")])

        assert isinstance(ledger, PublicLedger)
        assert ledger.records(["recording"], None)["recording"]["a"].data_version == "r1"


def test_nothing_is_known_of_an_asset_nobody_recorded(ledger):
    assert ledger.records(["recording", "audio/mel"], None) == {"recording": {}, "audio/mel": {}}
    assert ledger.records(["recording"], ["a"]) == {"recording": {}}


def test_what_is_recorded_is_read_back(ledger):
    ledger.record(new_run(), [recording("a"), mel("a"), recording("upload/2026 #7 é.wav")])

    records = ledger.records(["recording", "audio/mel"], None)
    known = records["audio/mel"]["a"]
    assert set(records["recording"]) == {"a", "upload/2026 #7 é.wav"}
    assert known.materialized
    assert not known.failed
    assert known.code_version == "c1"
    assert known.data_version == "m1"
    assert known.input_versions == {"recording": "r1"}
    assert known.timestamp == START + 2.0
    assert known.storage_id is not None


def test_what_a_failed_attempt_was_made_with_is_read_back(ledger):
    attempt = replace(failed("a"), code_version="c2", inputs={"source/tracks_flac": "s 2"})
    ledger.record(new_run(), [recording("a"), attempt, failed("b")])

    records = ledger.records(["recording"], None)["recording"]

    assert records["a"].attempt == ("ValueError", "c2", {"source/tracks_flac": "s 2"})
    assert records["a"].code_version == "c1", "the output that is there is another"
    assert records["b"].attempt == ("ValueError", "", {})


def test_only_the_entities_asked_for_are_read(ledger):
    ledger.record(new_run(), [recording("a"), recording("b"), recording("c")])

    assert set(ledger.records(["recording"], ["a", "c", "never"])["recording"]) == {"a", "c"}
    assert ledger.records(["recording"], [])["recording"] == {}


def test_the_newest_materialisation_counts(ledger):
    ledger.record(new_run(), [recording("a", "old", at=1), recording("a", "new", at=2)])
    ledger.record(new_run(), [recording("b", "old", at=1)])
    ledger.record(new_run(), [recording("b", "new", at=2)])

    records = ledger.records(["recording"], None)["recording"]
    assert {entity: record.data_version for entity, record in records.items()} == {
        "a": "new",
        "b": "new",
    }


def test_a_failure_after_a_materialisation_keeps_the_output_and_says_failed(ledger):
    ledger.record(new_run(), [recording("a", at=1), failed("a", at=2)])

    record = ledger.records(["recording"], ["a"])["recording"]["a"]
    assert (record.materialized, record.failed) == (True, True)
    assert (record.data_version, record.timestamp) == ("r1", START + 2)


def test_a_failure_that_was_mended_is_no_failure(ledger):
    ledger.record(new_run(), [failed("a", at=1), recording("a", at=2)])

    record = ledger.records(["recording"], ["a"])["recording"]["a"]
    assert (record.materialized, record.failed) == (True, False)
    assert ledger.failures(["recording"], None) == []


def test_who_failed_from_the_start_is_known_as_failed_only(ledger):
    ledger.record(new_run(), [failed("a")])

    record = ledger.records(["recording"], None)["recording"]["a"]
    assert (record.materialized, record.failed, record.data_version) == (False, True, None)


def test_an_observation_of_others_hides_no_failure(ledger, instance):
    ledger.record(new_run(), [failed("a")])
    instance.report_runless_asset_event(dg.AssetObservation("recording", partition="a"))

    assert ledger.records(["recording"], ["a"])["recording"]["a"].failed
    assert [pair.entity for pair in ledger.failures(["recording"], None)] == ["a"]
    assert ledger.attempts("recording", ["a"])["a"][0].failure
    stamps = ledger.stamps("recording")
    assert stamps is None or stamps.failed == {"a"}


def test_failures_tell_what_went_wrong_and_where(ledger):
    run = new_run()
    ledger.record(run, [recording("good"), failed("a"), failed("b", asset="audio/mel")])

    failures = ledger.failures(["recording", "audio/mel"], None)
    assert {(f.asset, f.entity, f.kind, f.error, f.run_id) for f in failures} == {
        ("recording", "a", "ValueError", "ValueError: no audio in it", run.run_id),
        ("audio/mel", "b", "ValueError", "ValueError: no audio in it", run.run_id),
    }
    assert ledger.failures(["recording"], ["good"]) == []


def test_what_a_traceback_says_ends_no_code_block(ledger, instance):
    said = "``````\n![](http://elsewhere/x.png)\n``````"
    ledger.record(new_run(), [failed("a", traceback=said)])

    (event,) = instance.fetch_observations(dg.AssetKey("recording"), limit=1).records
    fence = "`" * 7
    shown = event.asset_observation.metadata["traceback"].value
    assert shown == f"{fence}\n{said}\n{fence}"


def test_a_failure_stands_on_the_page_of_its_partition_with_its_traceback(ledger, instance):
    ledger.record(new_run(), [failed("a", traceback="x" * 50_000 + "the end")])

    seen = instance.fetch_observations(dg.AssetKey("recording"), limit=1).records[0]
    metadata = seen.asset_observation.metadata
    assert seen.partition_key == "a"
    assert metadata["error"].value == "ValueError: no audio in it"
    assert "the end" in metadata["traceback"].value
    assert len(metadata["traceback"].value) < 10_000


@pytest.mark.parametrize(
    "message",
    [
        pytest.param("no such file 'caf\udce9.wav'", id="file-name-not-utf-8"),
        pytest.param("it said \x00 and {[", id="nul"),
        pytest.param('{"looks": "like JSON"}', id="json"),
        pytest.param("x" * 1_000_000, id="a-megabyte"),
        pytest.param("", id="nothing"),
    ],
)
def test_whatever_an_error_says_it_can_be_read_again(ledger, message):
    ledger.record(new_run(), [failed("a", message=message, traceback=message)])

    (failure,) = ledger.failures(["recording"], None)
    assert failure.error.startswith(f"ValueError: {message[:5]}")
    assert len(failure.error) <= 2_000


def test_a_wiped_asset_is_unknown_until_it_is_recorded_again(ledger, instance):
    ledger.record(new_run(), [recording("a"), failed("b")])

    instance.wipe_assets([dg.AssetKey("recording")])
    wiped = ledger.records(["recording"], None)["recording"]
    again = time.time() - START + 1
    ledger.record(new_run(), [recording("c", at=again)])

    assert wiped == {}
    assert set(ledger.records(["recording"], None)["recording"]) == {"c"}


def test_metadata_of_the_newest_output_says_where_it_lies_and_how_it_is_loaded(ledger):
    codec = {"name": "array", "suffix": ".npy", "levels": [1, {"a": None}]}
    ledger.record(new_run(), [recording("a", codec=codec, metadata={"peak": 0.5, "quiet": False})])

    metadata = ledger.latest_metadata("recording", ["a", "never"])
    assert set(metadata) == {"a"}
    assert metadata["a"]["uri"] == "/data/a"
    assert metadata["a"]["codec"] == codec
    assert (metadata["a"]["peak"], metadata["a"]["quiet"]) == (0.5, False)


def test_sources_are_observed_in_a_run_and_outside_of_one(ledger):
    ledger.observe_sources(None, "source", {"a": "s1", "b": "s1"})
    ledger.observe_sources(new_run(), "source", {"b": "s2", "c": "s1"})

    assert ledger.observed_sources("source", None) == {"a": "s1", "b": "s2", "c": "s1"}
    assert ledger.observed_sources("source", ["b", "never"]) == {"b": "s2"}


@pytest.mark.parametrize(
    ("event", "version"),
    [
        pytest.param(None, None, id="never-seen"),
        pytest.param(
            dg.AssetMaterialization("model", tags={"dagster/data_version": "v3"}), "v3", id="made"
        ),
        pytest.param(
            dg.AssetObservation("model", tags={"dagster/data_version": "v4"}), "v4", id="observed"
        ),
        pytest.param(dg.AssetMaterialization("model"), "INITIAL", id="made-without-version"),
    ],
)
def test_an_unpartitioned_asset_has_the_version_dagster_gives_it(ledger, instance, event, version):
    if event is not None:
        instance.report_runless_asset_event(event)

    assert ledger.unpartitioned_version("model") == version


def test_materialisations_of_others_with_numbers_json_does_not_know_are_read(ledger, instance):
    instance.report_runless_asset_event(
        dg.AssetMaterialization(
            "recording",
            partition="a",
            metadata={"loudness_lufs": float("-inf"), "peak": float("nan"), "uri": "/x"},
            tags={"dagster/data_version": "v1"},
        )
    )
    ledger.record(new_run(), [recording("b")])

    records = ledger.records(["recording"], None)["recording"]
    assert {entity: record.data_version for entity, record in records.items()} == {
        "a": "v1",
        "b": "r1",
    }
    assert ledger.latest_metadata("recording", ["a"])["a"]["uri"] == "/x"


def test_receipts_in_any_order_are_recorded_upstream_first(ledger):
    for number, order in enumerate(permutations([0, 1, 2])):
        entity = f"track {number}"
        receipts = [recording(entity, at=1), mel(entity, at=2), failed(entity, at=3)]
        ledger.record(new_run(), [receipts[index] for index in order])

    records = ledger.records(["recording", "audio/mel"], None)
    assert all(record.failed for record in records["recording"].values())
    assert all(
        mel_record.storage_id > records["recording"][entity].storage_id
        for entity, mel_record in records["audio/mel"].items()
    )


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b"]),
            st.booleans(),
            st.integers(0, 10**15).map(lambda us: us / 1e6),
        ),
        max_size=6,
        unique_by=lambda attempt: attempt[2],
    )
)
def test_law_the_ledger_knows_what_the_last_receipts_say_to_the_microsecond(instance, attempts):
    asset = f"asset {new_run().run_id}"
    receipts = [
        replace((recording if ok else failed)(entity, at=at), asset=asset)
        for entity, ok, at in attempts
    ]
    ledger = LEDGERS["batched"](instance)

    ledger.record(new_run(), receipts)

    records = ledger.records([asset], None)
    expected: dict[str, object] = {}
    for receipt in sorted(receipts, key=lambda receipt: receipt.finished_at):
        expected[receipt.entity] = as_record(receipt, expected.get(receipt.entity))
    got = {
        entity: record._replace(storage_id=None, event_id=None)
        for entity, record in records[asset].items()
    }
    assert got == expected
    assert unrecorded(fold(receipts), records) == []
