"""What is handed to a driver is read back as it was written, and nothing else is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klio_dagster.codecs.json import Json
from klio_dagster.core.asset import EntityAsset, EntityStep
from klio_dagster.core.code_version import code_versions
from klio_dagster.core.graph import Chain
from klio_dagster.core.manifest import Manifest, Outside, PartSpec, Task, part_specs
from tests.strategies import (
    OTHER,
    PATTERN,
    OutsideKey,
    entity_ids,
    from_inputs,
    from_source,
    json_values,
    texts,
)

names = st.from_regex(r"[a-z]{1,8}", fullmatch=True)
codecs = st.dictionaries(texts, json_values, max_size=2)
by_name = st.dictionaries(texts, texts, max_size=2)
parts = st.builds(
    PartSpec,
    name=names,
    transform=texts,
    deps=by_name,
    source=st.none() | texts,
    params=st.dictionaries(texts, json_values, max_size=2),
    timeout_s=st.floats(0.001, 1e6),
    code_version=texts,
    inputs=by_name,
    key=texts,
    codec=st.none() | codecs,
    retries=st.integers(0, 9),
    transient=st.none() | st.lists(texts, max_size=2),
    memory=st.none() | st.integers(1, 1 << 40),
    batch_size=st.integers(1, 99),
)
manifests = st.builds(
    Manifest,
    run=texts,
    store=texts,
    parts=st.lists(texts, max_size=2),
    chain=st.lists(parts, max_size=2),
    engine=st.dictionaries(texts, json_values, max_size=2),
    install=st.lists(texts, max_size=2),
    attempt=st.integers(1, 9),
)
tasks = st.builds(
    Task,
    entity=entity_ids,
    run=st.lists(names, max_size=4),
    versions=by_name,
    sources=by_name,
    outside=st.dictionaries(texts, st.builds(Outside, uri=texts, codec=codecs), max_size=2),
    tried=st.dictionaries(names, st.lists(texts, max_size=2), max_size=2),
)


@given(manifests)
def test_a_manifest_is_read_back_as_it_was_written(manifest: Manifest):
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert Manifest.from_json(manifest.to_json().encode()) == manifest


@given(tasks)
def test_a_task_is_read_back_as_it_was_written(task: Task):
    assert Task.from_line(task.to_line()) == task


@given(tasks)
def test_a_task_is_one_line_whatever_the_entity_is_called(task: Task):
    line = task.to_line()

    assert line.isascii()
    assert line.splitlines(keepends=True) == [line]


@given(tasks, st.data())
def test_what_is_finished_is_taken_from_a_task_and_the_order_stays(task: Task, data: st.DataObject):
    done = data.draw(st.sets(st.sampled_from(task.run))) if task.run else set[str]()

    left = task.only([name for name in task.run if name not in done], dict.fromkeys(done, "v"))

    assert left.run == tuple(name for name in task.run if name not in done)
    assert left.versions == {**task.versions, **dict.fromkeys(done, "v")}
    assert left.only(left.run, {}) == left
    assert task.only(task.run, {}) == task


@given(tasks, names, texts)
def test_failed_attempts_go_along_with_what_is_left_of_a_task(task: Task, name: str, error: str):
    again = task.tried_again(name, error)

    assert again.tried[name] == (*task.tried.get(name, ()), error)
    assert Task.from_line(again.to_line()) == again


HEAD = Manifest(run="r", store="s", parts=["p"], chain=[], engine={"kind": "local"}).to_json()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("[]", id="a list"),
        pytest.param('"text"', id="a text"),
        pytest.param("null", id="null"),
        pytest.param("{}", id="no schema"),
        pytest.param('{"v": 1}', id="nothing but the schema"),
        pytest.param(HEAD[:-5], id="torn"),
        pytest.param(HEAD.replace('"engine"', '"motor"'), id="an unknown field"),
        pytest.param(HEAD.replace('"chain": []', '"chain": [{"nom": 1}]'), id="an unknown part"),
        pytest.param(HEAD.replace('"chain": []', '"chain": 3'), id="a chain that is no list"),
    ],
)
def test_what_is_no_manifest_is_refused(text: str):
    with pytest.raises(ValueError, match=r".+"):
        Manifest.from_json(text)


def test_a_manifest_of_a_later_schema_is_refused_and_not_guessed():
    later = json.dumps({**json.loads(HEAD), "v": 2})

    with pytest.raises(ValueError, match="manifest of schema 2, this version reads 1"):
        Manifest.from_json(later)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("", id="empty"),
        pytest.param("[]", id="a list"),
        pytest.param("7", id="a number"),
        pytest.param("{}", id="no entity"),
        pytest.param('{"entity":"one"}', id="nothing to run"),
        pytest.param('{"entity":"one","run":null}', id="null to run"),
        pytest.param('{"entity":"one","run":[],"outside":{"a":{"uri":"u"}}}', id="no codec"),
        pytest.param('{"entity":"one","run":[],"outside":[]}', id="outside is a list"),
    ],
)
def test_what_is_no_task_is_refused(line: str):
    with pytest.raises(ValueError, match=r".+"):
        Task.from_line(line)


def test_a_worker_learns_how_to_make_each_part_and_what_it_is_made_from():
    chain = Chain(
        [
            EntityStep("louder", from_source, source=PATTERN),
            EntityAsset(
                "mel",
                from_inputs,
                deps=["louder", OutsideKey(OTHER.split("/"))],
                output=Json(),
                params={"bands": 128},
                timeout_s=5.0,
            ),
        ]
    )
    versions = code_versions(chain)
    keys = {"mel": "audio/mel", PATTERN: "tracks", OTHER: OTHER}

    louder, mel = part_specs(chain, chain.order, versions, keys)

    assert (louder.is_step, louder.key, louder.source) == (True, "", PATTERN)
    assert not mel.is_step
    assert mel == PartSpec(
        name="mel",
        transform="tests.strategies:from_inputs",
        deps={"louder": "louder", "labels": OTHER},
        source=None,
        params={"bands": 128},
        timeout_s=5.0,
        code_version=versions["mel"],
        inputs={OTHER: OTHER, PATTERN: "tracks"},
        key="audio/mel",
        codec={"name": "json", **Json().to_json()},
        retries=2,
        memory=2 << 30,
    )
