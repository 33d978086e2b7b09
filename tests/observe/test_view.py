"""What the page is told of a catalogue, out of a real ledger."""

import threading

import dagster as dg
import numpy as np
import pytest

from klio_dagster import Audio
from klio_dagster.codecs.registry import codec_to_json
from klio_dagster.errors import ObjectNotFoundError, StoreUnavailableError
from klio_dagster.ledger.provenance import FAILURE
from klio_dagster.observe.preview import preview_of
from klio_dagster.observe.view_query import Query
from tests.observe.viewed import AT, HOSTILE, RUN, Viewed, asset_of


def rows(view, **asked):
    return {row["entity"]: row["assets"] for row in view.page(Query(**asked))["rows"]}


def test_a_line_shows_states_thumbnails_and_numbers(view):
    line = rows(view)["long"]

    assert line["recording"]["state"] == "materialized"
    assert set(line["recording"]["figures"]) == {"waveform"}
    assert line["recording"]["numbers"]["duration_s"] == 4.0
    assert line["mel"]["state"] == "stale"
    assert line["features"]["state"] == "materialized"


def test_a_failed_track_shows_its_error_and_what_it_blocks(view):
    line = rows(view)["broken"]

    assert line["recording"] == {"state": "failed", "error": "ValueError: no sound in it"}
    assert line["mel"] == {"state": "blocked"}


def test_a_track_that_was_good_before_can_still_be_heard(view):
    told = asset_of(view.entity("was-good"), "recording")

    assert told["state"] == "failed"
    assert told["failure"]["error"] == "ValueError: disk on fire"
    assert told["output"]["codec"] == "audio"
    assert view.output("recording", "was-good").path == "recording/was-good.wav"


def test_an_entity_tells_all_that_is_known_of_it(view):
    told = asset_of(view.entity("long"), "mel")

    assert told["output"]["run_id"] == RUN
    assert told["output"]["timestamp"] == AT + 2.0
    assert told["output"]["code_version"] == "c1"
    assert told["output"]["inputs"] == {"recording": "r1"}
    assert told["output"]["metadata"]["tempo"] == 120
    assert told["output"]["uri"].endswith("/mel/long.npy")


def test_a_failure_tells_its_traceback_and_the_command_that_repeats_it(view):
    failure = asset_of(view.entity("broken"), "recording")["failure"]

    assert failure["traceback"].startswith("Traceback (most recent call last):\n")
    assert "`" not in failure["traceback"]
    assert failure["reproduce"] == "klio run broken --select recording --debug"
    assert failure["run_id"] == RUN


def test_a_missing_track_is_listed_with_nothing(view):
    assert {each["state"] for each in rows(view)["missing"].values()} == {"missing"}


def test_pages_follow_each_other_without_a_gap(view):
    whole = list(rows(view))

    pages = [list(rows(view, offset=start, limit=5)) for start in range(0, len(whole), 5)]

    assert [entity for page in pages for entity in page] == whole == sorted(whole)


def test_a_page_asks_the_ledger_once_an_asset_however_many_rows_it_has(view, monkeypatch):
    asked = []
    attempts = view._ledger.attempts
    monkeypatch.setattr(
        view._ledger, "attempts", lambda key, ids: asked.append(key) or attempts(key, ids)
    )

    view.page(Query())

    assert asked == ["recording", "mel", "features"]


def test_the_next_failed_track_goes_round_the_end(view):
    forward = view.next_failed(Query(), "broken", back=False)
    around = view.next_failed(Query(), "was-good", back=False)
    back = view.next_failed(Query(), "long", back=True)
    around_back = view.next_failed(Query(), "broken", back=True)

    assert (forward["entity"], around["entity"]) == ("was-good", "broken")
    assert (back["entity"], around_back["entity"]) == ("broken", "was-good")
    assert view.page(Query(offset=forward["offset"]))["rows"][0]["entity"] == "was-good"
    assert view.next_failed(Query(state="missing"), "missing", back=False)["entity"] is None


@pytest.mark.parametrize("entity", HOSTILE)
def test_an_output_is_found_by_its_id_and_lies_in_the_store(view, entity):
    output = view.output("recording", entity)

    path = output.store.local_path(output.path)
    assert path.is_file()
    assert path.resolve().is_relative_to(output.store.local_path("recording").resolve())


@pytest.mark.parametrize(
    ("asset", "entity"),
    [
        pytest.param("recording", "never", id="unknown-id"),
        pytest.param("recording", "broken", id="never-worked"),
        pytest.param("recording", "a\0b", id="id-with-nul"),
        pytest.param("recording", "", id="no-id"),
        pytest.param("_klio", "long", id="our-own-folder"),
        pytest.param("tracks", "long", id="a-source"),
    ],
)
def test_nothing_but_recorded_outputs_can_be_had(view, asset, entity):
    with pytest.raises(ObjectNotFoundError):
        view.output(asset, entity)


def test_what_somebody_reports_by_hand_opens_no_file_and_loads_no_picture(catalogue, view):
    told = {"uri": "/etc/passwd", "waveform": "![x](https://evil.example/pixel.png)"}
    codec = codec_to_json(Audio("wav"))
    report = catalogue.instance.report_runless_asset_event
    for entity, metadata in (("by-hand", told), ("with-codec", {**told, "codec": codec})):
        report(dg.AssetMaterialization("recording", partition=entity, metadata=metadata))
    report(
        dg.AssetObservation(
            "recording",
            partition="no-output",
            tags={FAILURE: "x"},
            metadata={"codec": codec, "error": '<a href="javascript:alert(1)">'},
        )
    )

    output = asset_of(view.entity("by-hand"), "recording")["output"]
    assert output["uri"] == "/etc/passwd"  # shown as it was told, and used for nothing
    assert output["figures"] == {}
    assert view.output("recording", "with-codec").path == "recording/with-codec.wav"
    for entity in ("by-hand", "no-output"):
        with pytest.raises(ObjectNotFoundError):
            view.output("recording", entity)


def test_an_id_that_breaks_the_rules_is_never_looked_up(view, monkeypatch):
    monkeypatch.setattr(view, "_ledger", None)

    with pytest.raises(ObjectNotFoundError):
        view.entity("a\0b")


def test_a_table_shows_its_columns_and_first_rows(view):
    told = preview_of(view.output("features", "long"))

    assert told["columns"][0] == {"name": "onset_s", "type": "double"}
    assert len(told["rows"]) == 20
    assert told["rows"][1] == ["0.5", "n1"]
    assert told["of"] == 30


def test_an_array_has_no_preview(view):
    assert preview_of(view.output("mel", "long")) == {}


def test_new_events_are_seen_without_a_restart(catalogue, view):
    stop = threading.Event()
    before = view.summary()["number"]
    thread = threading.Thread(target=view.keep_fresh, args=(stop,))

    catalogue.store_audio("later")
    thread.start()
    with view._changed:
        seen = view._changed.wait_for(lambda: view._index.row_of("later") is not None, 30)
    stop.set()
    thread.join()

    assert seen
    assert view.summary()["number"] > before


def test_a_ledger_that_cannot_be_read_is_told_and_not_waited_for(catalogue, monkeypatch):
    view = type(catalogue)(catalogue.store.local_path("").parent, catalogue.instance).view
    stop = threading.Event()

    def broken():
        stop.set()
        raise StoreUnavailableError("it burns", where="store", fix="put it out")

    monkeypatch.setattr(view._source, "entities", broken)
    view.keep_fresh(stop)

    assert view.summary()["problem"] == "store: it burns; put it out"
    with pytest.raises(StoreUnavailableError, match="it burns"):
        view.page(Query(state="failed"))


def test_a_number_too_large_for_a_column_is_shown_and_stops_nothing(tmp_path):
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        made = Viewed(tmp_path, instance)
        made.store_output("mel", "a", np.eye(2, dtype=np.float32), permutations=10**400, tempo=120)

        made.view.read()

        (mel,) = [each for each in made.view.summary()["numbers"] if each.endswith("tempo")]
        shown = asset_of(made.view.entity("a"), "mel")["output"]["metadata"]
    assert mel == "mel.tempo"
    assert int(shown["permutations"]) == 10**400
