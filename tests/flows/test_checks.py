"""What a check finds: a blocking one keeps an output from the store, a warning flags it."""

import dagster as dg
import pytest

from klio_dagster.codecs.json import Json
from klio_dagster.core.asset import EntityAsset
from klio_dagster.core.check import Check
from tests.flows import flow_jobs as jobs
from tests.flows.catalogue import ENTITY_RUN, Catalogue, group


def checked(severity: str = "blocking", least: int = 6, **fields) -> dg.AssetsDefinition:
    """recording (checked) -> mel -> report, and other, which depends on nothing."""
    return group(
        EntityAsset(
            "recording",
            jobs.text,
            source="tracks/{entity}.txt",
            output=Json(),
            checks=[
                Check(jobs.is_long, severity=severity, params={"least": least}),
                Check(jobs.is_named),
            ],
        ),
        EntityAsset(
            "mel",
            jobs.length,
            deps=["recording"],
            output=Json(),
            checks=[Check(jobs.is_even, severity="warn")],
        ),
        EntityAsset("other", jobs.named, output=Json()),
    )


def short_and_long(catalogue: Catalogue) -> None:
    catalogue.register("short", "long")
    catalogue.put("tracks/short.txt", b"few")
    catalogue.put("tracks/long.txt", b"many letters")


def evaluations(catalogue: Catalogue, asset: str, check: str) -> dict[str | None, list[bool]]:
    """Partition to whether the check passed, oldest first."""
    found: dict[str | None, list[bool]] = {}
    history = catalogue.instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(dg.AssetKey(asset), check), limit=100
    )
    for record in reversed(history):
        if record.status.value in ("SUCCEEDED", "FAILED"):
            found.setdefault(record.partition, []).append(record.status.value == "SUCCEEDED")
    return found


def test_a_blocking_check_keeps_the_output_of_that_entity_from_the_store(
    catalogue: Catalogue,
) -> None:
    short_and_long(catalogue)

    run = catalogue.run(checked(), entities="all")

    assert run.counts("materialized") == {"recording": 1, "mel": 1, "other": 2}
    assert run.counts("failed") == {"recording": 1, "mel": 1, "other": 0}
    assert run.failures == {
        ("short", "recording"): "CheckFailedError: asset 'recording': check 'is_long' failed: "
        "3 letters; so it is not stored: mend what it is made from, or the check if it is right"
    }
    assert catalogue.store.exists("recording/long.json")
    assert not catalogue.store.exists("recording/short.json")
    assert evaluations(catalogue, "recording", "is_long") == {"short": [False], "long": [True]}
    assert evaluations(catalogue, "recording", "is_named") == {"short": [True], "long": [True]}


def test_a_warning_stores_the_output_and_flags_it(catalogue: Catalogue) -> None:
    short_and_long(catalogue)

    run = catalogue.run(checked(severity="warn"), entities="all")

    assert run.success
    assert run.counts("materialized") == {"recording": 2, "mel": 2, "other": 2}
    assert evaluations(catalogue, "recording", "is_long") == {"short": [False], "long": [True]}


def test_checks_change_no_stored_byte(catalogue: Catalogue) -> None:
    short_and_long(catalogue)
    catalogue.run(checked(least=1), entities="all")
    with_checks = {p: catalogue.store.get(p) for p in ("recording/long.json", "mel/long.json")}

    bare = group(
        EntityAsset("recording", jobs.text, source="tracks/{entity}.txt", output=Json()),
        EntityAsset("mel", jobs.length, deps=["recording"], output=Json()),
    )
    catalogue.run(bare, entities="all", force=True)

    assert {path: catalogue.store.get(path) for path in with_checks} == with_checks


def test_a_changed_blocking_check_computes_again_and_a_changed_warning_does_not(
    catalogue: Catalogue,
) -> None:
    short_and_long(catalogue)
    catalogue.run(checked(severity="warn"), entities="all")

    assert catalogue.reasons(checked(severity="warn", least=7), "long")["recording"] == "up_to_date"

    catalogue.run(checked(), entities="all")

    assert catalogue.reasons(checked(), "long")["recording"] == "up_to_date"
    assert catalogue.reasons(checked(least=7), "long")["recording"] == "code_changed"


def test_an_output_that_is_refused_keeps_the_one_that_was_stored_before(
    catalogue: Catalogue,
) -> None:
    short_and_long(catalogue)
    catalogue.run(checked(least=1), entities="all")
    before = catalogue.store.get("recording/short.json")

    run = catalogue.run(checked(), entities="all")

    assert run.counts("failed") == {"recording": 1, "mel": 1, "other": 0}
    assert catalogue.store.get("recording/short.json") == before
    assert evaluations(catalogue, "recording", "is_long")["short"] == [True, False]


@pytest.mark.parametrize("partition", [None, "long"], ids=["entity run", "partition run"])
def test_a_selection_of_assets_evaluates_their_checks_only(
    catalogue: Catalogue, partition: str | None
) -> None:
    short_and_long(catalogue)
    config = {} if partition else {"entities": ["long"]}

    catalogue.run(
        checked(), select=["recording"], partition_key=partition, tags=ENTITY_RUN, **config
    )

    assert evaluations(catalogue, "recording", "is_long") == {"long": [True]}
    assert evaluations(catalogue, "mel", "is_even") == {}


def test_checks_selected_alone_look_again_at_what_is_stored(catalogue: Catalogue) -> None:
    short_and_long(catalogue)
    catalogue.register("unknown")
    catalogue.run(checked(severity="warn", least=1), entities=["short", "long"])
    before = catalogue.ledger.records(["recording", "mel"], None)

    run = catalogue.run(
        checked(severity="warn"),
        checks=[dg.AssetCheckKey(dg.AssetKey("recording"), "is_long")],
        entities="all",
    )

    assert run.success, run.error
    assert catalogue.ledger.records(["recording", "mel"], None) == before
    found = evaluations(catalogue, "recording", "is_long")
    assert found == {"short": [True, False], "long": [True, True]}
    assert "recording: 2 looked at again" in " ".join(run.log)


def test_a_stored_output_that_is_gone_does_not_pass_when_it_is_looked_at(
    catalogue: Catalogue,
) -> None:
    short_and_long(catalogue)
    catalogue.run(checked(least=1), entities=["long"])
    (catalogue.folder / "recording/long.json").unlink()

    run = catalogue.run(
        checked(least=1),
        checks=[dg.AssetCheckKey(dg.AssetKey("recording"), "is_long")],
        entities=["long"],
    )

    assert run.success
    records = catalogue.ledger.records(["recording"], ["long"])
    assert not records["recording"]["long"].failed, "nobody computed it again"
    event = catalogue.instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(dg.AssetKey("recording"), "is_long"), limit=1
    )[0].event
    assert event is not None
    evaluation = event.dagster_event.asset_check_evaluation_data
    assert not evaluation.passed
    assert "the ledger says it is stored, but it is not there" in evaluation.description
