"""Some of a group's assets: what is not selected is loaded from the store, or is missing."""

from tests.flows.catalogue import Catalogue, tracks


def test_what_is_not_selected_is_loaded_from_the_store(computed: Catalogue) -> None:
    stored = computed.store.head("recording/a.json")
    before = computed.load("mel/a.json")["n"]

    run = computed.run(tracks(factor=3), entities=["a"], select=["mel"])

    assert run.counts("materialized") == {"mel": 1}
    assert computed.load("mel/a.json")["n"] == 3 * before
    assert computed.store.head("recording/a.json") == stored
    # Two apart: mel is computed before report, which is not.
    assert computed.reasons(tracks(factor=3), "a") == {
        "recording": "up_to_date",
        "mel": "up_to_date",
        "report": "input_changed",
    }


def test_an_upstream_that_was_never_computed_is_named(computed: Catalogue) -> None:
    computed.register("c")
    computed.put("tracks/c.txt", b"third")

    run = computed.run(tracks(), entities="all", select=["mel", "report"])

    assert not run.success
    assert run.counts("skipped") == {"mel": 2, "report": 2}
    missing = "input_missing: 'recording' has no output yet; compute it first"
    assert run.failures == {("c", "mel"): missing}
    assert run.summary is not None
    assert run.summary["blocked"] == 1


def test_an_upstream_whose_file_is_gone_fails_with_the_way_out(computed: Catalogue) -> None:
    computed.store.delete("recording/a.json")

    run = computed.run(tracks(), entities="all", select=["mel"], force=True)

    assert run.counts("materialized") == {"mel": 1}
    assert run.failures == {
        ("a", "mel"): "EntityError: recording/a.json: the ledger says it is stored,"
        " but it is not there; compute 'recording' again with force"
    }
