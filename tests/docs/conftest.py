"""A folder as the README leaves its reader with it, before anything was typed."""

import shutil

import pytest

from klio_dagster.core.letter import Letter
from klio_dagster.message import encode, new_message
from klio_dagster.store.dead_letter import DeadLetter, put
from klio_dagster.store.store import Store
from tests.docs.page import README, ROOT, Reader

RECORDINGS = ("drum_snare_soft", "tabla_na_s")
WITH_SENSOR = """
import dagster as dg
import {module} as without
from klio_dagster import KlioPubSubResource, build_klio_pubsub_sensor

sensor = build_klio_pubsub_sensor(
    assets=without.track_audio,
    subscription="asked-tracks",
    pubsub=KlioPubSubResource(project="my-project"),
    name="track_messages",
)
defs = dg.Definitions.merge(without.defs, dg.Definitions(sensors=[sensor]))
"""
WORKSPACE = "load_from:\n  - python_file: with_sensor.py\n"


@pytest.fixture
def reader(tmp_path):
    """Has the README's files and its two recordings."""
    reader = Reader(tmp_path)
    _record(tmp_path / "data" / "tracks")
    reader.write_files(README)
    return reader


@pytest.fixture
def reader_with_dead_letters(reader):
    """The same, with a sensor for messages, of which some were given up."""
    _give_up_messages(reader.folder, "definitions", reader.folder / "data")
    return reader


@pytest.fixture
def reader_with_pubsub(reader, pubsub_emulator):
    """The same, with the topics and the subscription that the page on messages names."""
    for topic in ("asked-tracks", "finished-tracks"):
        pubsub_emulator.new_topic(topic, project="my-project")
    pubsub_emulator.new_subscription(
        "projects/my-project/topics/asked-tracks", "asked-tracks-audio", project="my-project"
    )
    return Reader(reader.folder, pubsub_emulator.host)


@pytest.fixture
def reader_with_nothing(tmp_path):
    """Has two recordings and no file of a project."""
    _record(tmp_path / "data" / "tracks")
    return Reader(tmp_path)


@pytest.fixture
def reader_of_the_reference_project(tmp_path):
    """Has that project's definitions, two recordings in its store, and a list of ids.

    And a sensor for messages, of which some were given up.
    """
    _record(tmp_path / ".klio" / "store" / "tracks")
    (tmp_path / "ids.txt").write_text("track-1\ntrack-2\n", encoding="utf-8")
    _give_up_messages(tmp_path, "asset_defs.definitions", tmp_path / ".klio" / "store")
    return Reader(tmp_path)


def _record(folder):
    folder.mkdir(parents=True)
    for number, name in enumerate(RECORDINGS, start=1):
        shutil.copy(ROOT / "demo" / "tracks" / f"{name}.flac", folder / f"track-{number}.flac")


def _give_up_messages(folder, module, store):
    """A sensor beside what a module defines, and what it and its runs gave up."""
    (folder / "with_sensor.py").write_text(WITH_SENSOR.format(module=module), encoding="utf-8")
    (folder / "workspace.yaml").write_text(WORKSPACE, encoding="utf-8")
    given_up = [
        ("track-1", "failed", 3, "EntityError: tracks/track-1.flac: no audio that can be read"),
        ("track-2", "run_failed", 5, "5 runs ended without it, the last one killed"),
        ("track-3", "removed", 0, "the entity was taken down"),
        (None, "undecodable", 0, "its 20 bytes are no Klio message"),
    ]
    for number, (entity, reason, attempts, error) in enumerate(given_up, start=1):
        data = encode(new_message(entity)) if entity else b'{"track": "track-1"}'
        dead_letter = DeadLetter(
            group="track_audio",
            sensor="track_messages",
            entity=entity,
            reason=reason,
            error=error,
            at=1_700_000_000.0 + number,
            attempts=attempts,
            letter=Letter(data=data, message_id=str(number), published_at=1_700_000_000.0),
        )
        put(Store.open(str(store)), dead_letter)
