"""What a run of partitions skips is recorded again, and everybody reads it as it was."""

import dagster as dg
import pytest

from klio_dagster.ledger import copies, public_path
from klio_dagster.ledger.provenance import computed_at, skipped_tag
from tests.ledger.catalogue import START, TRACKS, failed, mel, new_run, recording
from tests.ledger.graphql import Page

RECORDING, MEL = "recording", "audio/mel"


def ids(ledger, *keys):
    records = ledger.records(keys, None)
    return {key: [record.storage_id for record in records[key].values()] for key in keys}


def newest(instance, key):
    wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(key.split("/")))
    return instance.fetch_materializations(wanted, limit=1).records[0]


def test_a_copy_is_the_event_it_copies_under_another_run(ledger, instance):
    first, again = new_run(), new_run()
    picture = {"waveform": b"\x89PNG" + bytes(300)}
    ledger.record(first, [recording("a", metadata={"peak": 0.5}, figures=picture)])
    before = newest(instance, RECORDING)

    ledger.record_again(again, ids(ledger, RECORDING))

    after = newest(instance, RECORDING)
    tags = dict(after.asset_materialization.tags)
    assert after.run_id == again.run_id
    assert after.timestamp > before.timestamp
    assert tags.pop("klio/skipped") == skipped_tag(before.timestamp)
    assert tags == before.asset_materialization.tags
    metadata = dict(after.asset_materialization.metadata)
    assert metadata.pop("computed_by") == dg.MetadataValue.dagster_run(first.run_id)
    assert metadata.pop("computed_at") == dg.MetadataValue.timestamp(before.timestamp)
    assert metadata == before.asset_materialization.metadata


def test_a_copy_changes_no_record_but_its_place_in_the_log(ledger):
    ledger.record(new_run(), [recording("a", code_version="old"), mel("a"), recording("b")])
    before = ledger.records([RECORDING, MEL], None)
    known = ids(ledger, RECORDING, MEL)

    ledger.record_again(new_run(), known)
    ledger.record_again(new_run(), ids(ledger, RECORDING, MEL))

    after = ledger.records([RECORDING, MEL], None)
    for key in (RECORDING, MEL):
        assert {e: r._replace(storage_id=None, event_id=None) for e, r in after[key].items()} == {
            e: r._replace(storage_id=None, event_id=None) for e, r in before[key].items()
        }
    assert after[RECORDING]["a"].timestamp == START + 1.0
    assert after[RECORDING]["a"].storage_id > before[RECORDING]["b"].storage_id


def test_a_copy_of_a_copy_names_the_run_that_computed_it(ledger, instance):
    first = new_run()
    ledger.record(first, [recording("a")])

    ledger.record_again(new_run(), ids(ledger, RECORDING))
    once = newest(instance, RECORDING).asset_materialization
    ledger.record_again(new_run(), ids(ledger, RECORDING))
    twice = newest(instance, RECORDING).asset_materialization

    assert twice == once
    assert twice.metadata["computed_by"].value == first.run_id


def test_others_still_find_an_output_after_a_copy(ledger):
    ledger.record(new_run(), [recording("a", codec={"type": "json"})])
    ledger.record_again(new_run(), ids(ledger, RECORDING))

    found = ledger.latest_metadata(RECORDING, ["a"])["a"]

    assert (found["uri"], found["codec"]) == ("/data/a", {"type": "json"})


def test_a_failure_after_a_copy_is_a_failure_and_one_before_is_over(ledger):
    ledger.record(new_run(), [recording("a"), recording("b")])
    ledger.record_again(new_run(), ids(ledger, RECORDING))

    ledger.record(new_run(), [failed("a", at=9)])

    records = ledger.records([RECORDING], None)[RECORDING]
    assert (records["a"].failed, records["b"].failed) == (True, False)
    assert [pair.entity for pair in ledger.failures([RECORDING], None)] == ["a"]


def test_what_depends_on_a_copy_is_not_stale(ledger, instance, tmp_path):
    """Neither what was made before the copy nor what is made after it."""
    instance.add_dynamic_partitions(TRACKS.name, ["a", "b"])
    page = Page(instance, tmp_path)
    ledger.observe_sources(None, "source", {"a": "s1", "b": "s1"})
    ledger.record(new_run(), [recording("a"), mel("a"), recording("b")])

    ledger.record_again(new_run(), ids(ledger, RECORDING, MEL))
    ledger.record(new_run(), [mel("b", at=9)])

    assert page.why_stale(RECORDING, "a") == []
    assert page.why_stale(MEL, "a") == []
    assert page.why_stale(MEL, "b") == []


def test_a_copy_keeps_the_old_code_version(ledger, instance, tmp_path):
    instance.add_dynamic_partitions(TRACKS.name, ["a"])
    page = Page(instance, tmp_path)
    ledger.observe_sources(None, "source", {"a": "s1"})
    ledger.record(new_run(), [recording("a")])

    ledger.record_again(new_run(), ids(ledger, RECORDING))

    assert page.why_stale(RECORDING, "a", code_version="c2") == ["has a new code version"]


def test_what_was_wiped_before_it_is_copied_is_left_out(ledger, instance):
    ledger.record(new_run(), [recording("a")])
    known = ids(ledger, RECORDING)
    instance.wipe_assets([dg.AssetKey(RECORDING)])

    ledger.record_again(new_run(), known)

    assert ledger.records([RECORDING], None)[RECORDING] == {}


def test_more_copies_than_a_page_are_all_written(ledger, monkeypatch):
    monkeypatch.setattr(copies, "_A_PAGE", 50)
    monkeypatch.setattr(public_path, "_A_PAGE", 50)
    ledger.record(new_run(), [recording(f"e-{n}") for n in range(101)])

    ledger.record_again(new_run(), ids(ledger, RECORDING))

    records = ledger.records([RECORDING], None)[RECORDING]
    assert min(record.storage_id for record in records.values()) > 101


@pytest.mark.parametrize("when", [START, START + 0.123457, 0.000001], ids=["whole", "micro", "old"])
def test_the_time_of_an_output_survives_its_tag(when):
    tag = skipped_tag(when)

    assert computed_at({"klio/skipped": tag}, 5.0) == when
    assert computed_at({}, 5.0) == 5.0
