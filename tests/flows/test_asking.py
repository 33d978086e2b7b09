"""Entities asked for by name, by state or by a list in the store; and questions that make no
sense."""

import json

import pytest

from tests.flows.catalogue import Catalogue, all_of, tracks


@pytest.fixture
def half_done(computed: Catalogue) -> Catalogue:
    """a done, b failed, c missing, d not asked for yet."""
    computed.register("c", "d")
    computed.put("tracks/b.txt", b"bad")
    failed = computed.run(tracks(), entities=["b"])
    assert failed.counts("failed") == all_of(1)
    return computed


def test_entities_are_asked_for_by_state(half_done: Catalogue) -> None:
    half_done.put("tracks/b.txt", b"good again")
    half_done.put("tracks/c.txt", b"third")
    half_done.put("tracks/a.txt", b"first, again")

    counts = {
        state: half_done.run(tracks(), entities=state).counts("materialized")["report"]
        for state in ("failed", "stale")
    }

    assert counts == {"failed": 1, "stale": 1}
    missing = half_done.run(tracks(), entities="missing")
    assert missing.counts("materialized") == all_of(1)
    assert set(missing.failures) == {("d", "recording")}


def test_a_list_in_the_store_names_the_entities_of_a_run(computed: Catalogue) -> None:
    lines = [json.dumps({"entity": entity}) for entity in ("b", "a", "b")]
    computed.put("wanted.jsonl", "\n".join(lines).encode())

    run = computed.run(tracks(), manifest="wanted.jsonl")

    assert run.counts("skipped") == all_of(2)


def test_what_is_stale_is_asked_for_and_forced_together(computed: Catalogue) -> None:
    """Forcing must not make stale what is not: nothing is, so nothing is computed."""
    run = computed.run(tracks(), entities="stale", force=True)

    assert run.counts("materialized") == all_of(0)
    assert run.counts("skipped") == all_of(0)


@pytest.mark.parametrize(
    ("config", "line"),
    [
        pytest.param(
            {"entities": ["a", "nobody"]},
            "catalogue 'tracks': 'nobody' not in it;"
            " register with `klio entities add` or `klio entities sync`",
            id="an entity that is not in the catalogue",
        ),
        pytest.param(
            {"entities": "some"},
            "run config: entities is 'some';"
            " use a list of ids, or one of all, missing, failed, stale",
            id="a state that does not exist",
        ),
        pytest.param(
            {"entities": [1, 2]},
            "run config: entities is [1, 2];"
            " use a list of ids, or one of all, missing, failed, stale",
            id="ids that are no text",
        ),
        pytest.param(
            {},
            "run of 'work': it names no entities;"
            ' select partitions, or set entities in the run config, for instance "all"',
            id="nobody",
        ),
        pytest.param(
            {"entities": "all", "rerun_on": ["full_moon"]},
            "run config: unknown reason 'full_moon' in rerun_on; use code_changed, input_changed",
            id="a reason that does not exist",
        ),
        pytest.param(
            {"manifest": "nowhere.jsonl"},
            "{store}/nowhere.jsonl: it is not there; check `manifest`",
            id="a list that is not there",
        ),
        pytest.param(
            {"manifest": "../../etc/passwd"},
            "path '../../etc/passwd': the path does not stay inside the store;"
            " use a relative path without empty, '.' or '..' parts",
            id="a list outside of the store",
        ),
        pytest.param(
            {"manifest": "tracks/a.txt"},
            "{store}/tracks/a.txt: line 1 is no entity;"
            ' write a line like {{"entity": "track-1"}} for each',
            id="a list of something else",
        ),
        pytest.param(
            {"manifest": "noise"},
            "{store}/noise: line 1 is no entity;"
            ' write a line like {{"entity": "track-1"}} for each',
            id="a list that is no text",
        ),
    ],
)
def test_a_question_that_makes_no_sense_is_one_line(
    computed: Catalogue, config: dict[str, object], line: str
) -> None:
    computed.put("noise", b"\xff\xfe\x00")

    run = computed.run(tracks(), **config)

    assert not run.success
    said = run.error.partition(": ")
    assert said[0].startswith("klio_dagster.errors.")
    assert said[2] == line.format(store=computed.folder)
