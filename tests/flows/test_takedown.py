"""A takedown that is killed, or meets a run."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from klio_dagster.core.ids import escape
from klio_dagster.errors import EntitiesInFlightError
from klio_dagster.ledger.takedown import Place, Takedown, take_down, traces
from klio_dagster.store.layout import output_path
from klio_dagster.store.open_claim import open_claim
from klio_dagster.store.removed import removed_entities
from tests.flows.catalogue import all_of, computed_tracks, tracks
from tests.flows.test_checks import checked, short_and_long

KEYS = ("recording", "mel", "report")
STEPS = ("fold_dead_runs", "scrub", "removal.forget", "removal.forget_partitions")

# Dies just before a step of the takedown is taken.
DIES = """
import os, sys, dagster as dg
from klio_dagster.ledger import takedown
from tests.flows.catalogue import Catalogue
from tests.flows.test_takedown import takedown_of
from pathlib import Path

folder, home, step = sys.argv[1:]
def die(*_, **__):
    os._exit(9)
where, _, name = step.rpartition(".")
setattr(takedown.removal if where else takedown, name, die)
with dg.DagsterInstance.from_config(home) as instance:
    catalogue = Catalogue(Path(folder), instance)
    takedown.take_down(takedown_of(catalogue, "a"), catalogue.ledger, instance, at=1.0)
"""


def takedown_of(catalogue, *entities: str) -> Takedown:
    outputs = [output_path(key, entity, ".json") for key in KEYS for entity in entities]
    place = Place(store=catalogue.store, keys=KEYS, outputs=outputs)
    return Takedown(entities=entities, places=[place], catalogues={"tracks": KEYS})


def left_of(catalogue, entity: str) -> list[object]:
    """Everything but the tombstone that names an entity."""
    found = traces(takedown_of(catalogue, entity), catalogue.ledger, catalogue.instance)
    partitions = [name for name, number in found.partitions.items() if number]
    return [*found.outputs, *found.lines, *found.events, *partitions]


@pytest.mark.parametrize("step", STEPS)
def test_a_takedown_killed_at_any_step_is_completed_by_calling_it_again(catalogue, tmp_path, step):
    computed_tracks(catalogue)
    home = Path(catalogue.instance.root_directory)
    (home / "dagster.yaml").touch()

    killed = subprocess.run(
        [sys.executable, "-c", DIES, str(tmp_path), str(home), step],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    left = left_of(catalogue, "a")
    refused = catalogue.run(tracks(), entities=["a", "b"])
    take_down(takedown_of(catalogue, "a"), catalogue.ledger, catalogue.instance, at=2.0)

    assert killed.returncode == 9
    assert left, "it had something left to do"
    assert refused.failures.keys() == {("a", None)}, "nobody computes it from the first step on"
    assert left_of(catalogue, "a") == []
    assert catalogue.run(tracks(), entities="all").counts("skipped") == all_of(1)


def test_a_live_run_that_computes_one_of_them_is_named_and_nothing_is_written(catalogue):
    computed_tracks(catalogue)
    claim = open_claim(catalogue.store, "another", assets=["mel"])
    before = left_of(catalogue, "a")

    with pytest.raises(EntitiesInFlightError, match="run another: it is computing one of"):
        take_down(takedown_of(catalogue, "a"), catalogue.ledger, catalogue.instance, at=1.0)

    assert left_of(catalogue, "a") == before
    assert removed_entities(catalogue.store) == set()
    claim.close()


def test_an_id_that_has_to_be_escaped_goes_as_well(catalogue):
    computed_tracks(catalogue)
    catalogue.put("tracks/Upper Case.txt", b"third")
    catalogue.register("Upper Case")
    catalogue.run(tracks(), entities=["Upper Case"])

    take_down(takedown_of(catalogue, "Upper Case"), catalogue.ledger, catalogue.instance, at=1.0)

    assert left_of(catalogue, "Upper Case") == []
    assert (catalogue.folder / "_klio/removed" / escape("Upper Case")).exists()
    assert len(left_of(catalogue, "a")) > 0


def test_dagster_shows_the_newest_of_the_others_after_the_newest_was_removed(catalogue):
    computed_tracks(catalogue)
    key = dg.AssetKey("mel")
    newest = catalogue.instance.get_latest_materialization_event(key).dagster_event.partition

    take_down(takedown_of(catalogue, newest), catalogue.ledger, catalogue.instance, at=1.0)

    left = catalogue.instance.get_latest_materialization_event(key).dagster_event.partition
    assert {newest, left} == {"a", "b"}
    assert catalogue.instance.get_materialized_partitions(key) == {left}


def logged(catalogue, text: str) -> dict[str, int]:
    """How many evaluations of checks quote a text, by database of Dagster's event log."""
    found: dict[str, int] = {}
    for path in Path(catalogue.instance.root_directory).rglob("*.db"):
        with closing(sqlite3.connect(path)) as log:
            if log.execute("SELECT 1 FROM sqlite_master WHERE name = 'event_logs'").fetchone():
                (found[path.name],) = log.execute(
                    "SELECT count(*) FROM event_logs WHERE event LIKE ?"
                    " AND dagster_event_type = 'ASSET_CHECK_EVALUATION'",
                    (f"%{text}%",),
                ).fetchone()
    return found


def test_what_its_checks_said_goes_too_and_that_of_others_stays(catalogue):
    short_and_long(catalogue)
    runs = [catalogue.run(checked(), entities="all", force=True).run_id for _ in range(2)]
    takedown = replace(takedown_of(catalogue, "short"), catalogues={"tracks": ["recording", "mel"]})
    before = logged(catalogue, '"short"')
    others = logged(catalogue, '"long"')
    told = traces(takedown, catalogue.ledger, catalogue.instance).events

    take_down(takedown, catalogue.ledger, catalogue.instance, at=1.0)

    places = {"index.db", *(f"{run}.db" for run in runs)}
    assert {name for name, number in before.items() if number} == places
    assert told["recording"] > before["index.db"], "they are counted, with its failures"
    assert logged(catalogue, '"short"') == dict.fromkeys(before, 0)
    assert logged(catalogue, '"long"') == others
    assert traces(takedown, catalogue.ledger, catalogue.instance).events == {}
