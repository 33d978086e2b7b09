"""Steps, classes and what a transform shows beside its value."""

import dagster as dg

from klio_dagster.codecs.json import Json
from klio_dagster.core.asset import EntityAsset, EntityStep
from tests.flows import flow_jobs as jobs
from tests.flows.catalogue import Catalogue, group


def chain(separator: str) -> dg.AssetsDefinition:
    return group(
        EntityAsset("recording", jobs.text, source="tracks/{entity}.txt", output=Json()),
        EntityStep("halved", jobs.halved, deps=["recording"]),
        EntityAsset(
            "joined",
            jobs.joined,
            deps=["halved"],
            params={"separator": separator},
            output=Json(),
        ),
        EntityAsset("counted", jobs.Counting, params={"start": 5, "step": 2}, output=Json()),
    )


def test_steps_classes_and_results_work_together(catalogue: Catalogue) -> None:
    entities = [f"track-{number}" for number in range(8)]
    catalogue.register(*entities)
    for entity in entities:
        catalogue.put(f"tracks/{entity}.txt", b"abcdef")
    made = chain("-")

    run = catalogue.run(made, entities="all")

    assert run.counts("materialized") == {"recording": 8, "joined": 8, "counted": 8}
    assert {key.to_user_string() for key in made.keys} == {"recording", "joined", "counted"}
    assert not (catalogue.folder / "halved").exists()
    assert catalogue.load("joined/track-0.json") == {"text": "ace"}
    for entity in entities:
        once = {"setups": 1, "start": 5, "step": 2}
        assert catalogue.load(f"counted/{entity}.json") == once
    shown = catalogue.ledger.latest_metadata("joined", ["track-0"])["track-0"]
    assert (shown["letters"], shown["score"], shown["is_short"]) == (3, 0.5, True)
    assert shown["dot"].startswith("![dot](data:image/png;base64,")
    assert shown["uri"] == catalogue.store.uri("joined/track-0.json")

    # The step runs again for its one consumer, whose upstream is loaded from the store.
    again = catalogue.run(chain("+"), entities=["track-0"], select=["joined"])

    assert again.counts("materialized") == {"joined": 1}
    assert catalogue.load("joined/track-0.json") == {"text": "ace"}
