"""Whatever a transform does to its process: one line for its entity, all others are done."""

import pytest

from klio_dagster.codecs.json import Json
from klio_dagster.core.asset import EntityAsset
from tests.flows import flow_jobs as jobs
from tests.flows.catalogue import Catalogue, group

DEEDS = {
    "raise": "ZeroDivisionError: division by zero",
    "raise something unheard of": f"{jobs.UNHEARD_OF}: what no tag of Dagster can be called",
    "die of an unnamed signal": "signal 37: the worker process was ended by signal 37",
    "none": "EntityError: ",
    "wrong type": "EntityError: ",
    "exit": "SystemExit: the transform called sys.exit('enough')",
    "die": "WorkerExit: the worker process ended itself with code 7 while computing 'made'",
    "never return": "Timeout: it took longer than timeout_s=2 while computing 'made'",
}
HARMLESS = ["print", *(f"good {number}" for number in range(6))]


def test_a_transform_that_misbehaves_fails_its_own_entity_with_one_line(
    catalogue: Catalogue, capfd: pytest.CaptureFixture[str]
) -> None:
    made = group(
        EntityAsset(
            "made", jobs.misbehaves, source="deeds/{entity}.txt", output=Json(), timeout_s=2
        ),
        EntityAsset("apart", jobs.named, output=Json()),
    )
    entities = [*DEEDS, *HARMLESS]
    catalogue.register(*entities)
    for entity in entities:
        catalogue.put(f"deeds/{entity}.txt", entity.encode())

    run = catalogue.run(made, entities="all")

    assert catalogue.materialized("made") == set(HARMLESS)
    assert catalogue.materialized("apart") == set(entities), "what does not depend on it is done"
    assert set(run.failures) == {(entity, "made") for entity in DEEDS}
    for (entity, _), error in run.failures.items():
        assert error.startswith(DEEDS[entity])
        assert "\n" not in error
        assert len(error) < 600
    said = capfd.readouterr().out
    assert "print: printed more than 64 KiB, the rest is cut" in said
    assert said.count("chatter") < 10_000, "megabytes were passed on"
