"""What is done is not done again, what has changed is, and what depends on that follows."""

from tests.flows.catalogue import Catalogue, all_of, tracks

UP_TO_DATE = dict.fromkeys(all_of(0), "up_to_date")


def test_a_second_run_computes_nothing_and_starts_no_driver(computed: Catalogue) -> None:
    second = computed.run(tracks(), entities="all")

    assert second.success
    assert second.counts("skipped") == all_of(2)
    assert second.counts("materialized") == all_of(0)
    assert not computed.has_manifest(second.run_id)
    assert computed.reasons(tracks(), "a") == UP_TO_DATE


def test_changed_params_are_computed_again_with_what_depends_on_them(computed: Catalogue) -> None:
    before = computed.load("mel/a.json")["n"]
    changed = tracks(factor=10)

    assert computed.reasons(changed, "a") == {
        "recording": "up_to_date",
        "mel": "code_changed",
        "report": "upstream",
    }
    ignored = computed.run(changed, entities=["a"], rerun_on=["input_changed"])
    assert ignored.counts("materialized") == all_of(0)
    again = computed.run(changed, entities="stale")
    assert again.counts("materialized") == {"recording": 0, "mel": 2, "report": 2}
    assert computed.load("report/a.json")["n"] == 10 * before


def test_a_replaced_source_is_computed_again_for_its_entity_only(computed: Catalogue) -> None:
    computed.put("tracks/a.txt", b"another text")

    assert computed.reasons(tracks(), "a") == {
        "recording": "input_changed",
        "mel": "upstream",
        "report": "upstream",
    }
    ignored = computed.run(tracks(), entities="all", rerun_on=["code_changed"])
    assert ignored.counts("materialized") == all_of(0)
    again = computed.run(tracks(), entities="all")
    assert again.counts("materialized") == all_of(1)
    assert again.counts("skipped") == all_of(1)
    assert computed.load("report/a.json")["of"]["text"] == "another text"


def test_force_computes_the_selected_assets_of_the_named_entities_only(
    computed: Catalogue,
) -> None:
    forced = computed.run(tracks(), entities=["b"], select=["mel"], force=True)

    assert forced.counts("materialized") == {"mel": 1}
    # Equal bytes: what depends on it is not stale.
    assert computed.reasons(tracks(), "b") == UP_TO_DATE


def test_finished_work_whose_source_is_gone_stays_done(computed: Catalogue) -> None:
    (computed.folder / "tracks/a.txt").unlink()

    again = computed.run(tracks(), entities="all")

    assert again.success
    assert again.counts("skipped") == all_of(2)
    assert computed.reasons(tracks(), "a") == UP_TO_DATE


def test_forcing_work_whose_source_is_gone_names_the_pattern(computed: Catalogue) -> None:
    (computed.folder / "tracks/a.txt").unlink()

    forced = computed.run(tracks(), entities=["a"], force=True)

    assert forced.failures == {
        ("a", "recording"): "input_missing: no file matches 'tracks/{entity}.txt' in"
        f" {computed.folder}/tracks; put it there"
    }
    assert computed.load("recording/a.json")["text"] == "first"
