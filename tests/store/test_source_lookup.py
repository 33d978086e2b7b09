"""The sources of few entities, asked for one by one."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from klio_dagster.core.ids import escape
from klio_dagster.store.source_lookup import can_look_up, look_up_sources
from klio_dagster.store.sources import SourcePattern, list_sources
from klio_dagster.store.store import Store
from tests.strategies import entity_ids

PATTERNS = [
    "tracks/{entity}.flac",
    "{entity:path}",
    "a.b/{entity:path}.txt",
    "{entity}",
    "x/p-{entity}-s",
    "rec/{entity:escaped}.json",
]
ODD = [
    "..",
    ".",
    "../x",
    "/etc",
    "a/../b",
    "a//b",
    "_klio/x",
    "a/",
    "x" * 256,
    "tra#1",
    "sub/deep",
    "a\\b",
]


@pytest.mark.parametrize("text", PATTERNS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.lists(entity_ids | st.sampled_from(ODD), max_size=8, unique=True))
def test_what_is_looked_up_is_what_a_listing_finds(
    text: str, tmp_path_factory: pytest.TempPathFactory, entities: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("sources")
    store = Store.open(str(folder))
    put(
        folder,
        "tracks/there.flac",
        "sub/deep",
        "a.b/sub/deep.txt",
        "x/p-there-s",
        "_klio/x",
        "tra#1",
    )
    for entity in entities[::2]:
        put(folder, text.replace("{entity:path}", entity).replace("{entity}", entity))
        if entity and entity.isprintable():
            put(folder, text.replace("{entity:escaped}", escape(entity)))
    pattern = SourcePattern.parse(text)
    asked = [*entities, *ODD, "there"]

    found = look_up_sources(pattern, store, asked)

    listed = list_sources(pattern, store)
    assert found.matches == {e: x for e, x in listed.matches.items() if e in asked}
    assert found.location == listed.location


def test_a_pattern_with_an_asterisk_has_to_be_listed(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path))

    assert not can_look_up(SourcePattern.parse("tracks/{entity}.*"), store)
    assert can_look_up(SourcePattern.parse("gs://bucket/tracks/{entity}.flac"), store)


def test_sources_outside_the_store_are_found_where_they_are(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "store"))
    put(tmp_path / "music", "take 1.wav")
    pattern = SourcePattern.parse(f"file://{tmp_path}/music/{{entity}}.wav")

    found = look_up_sources(pattern, store, ["take 1", "take 2"])

    assert found.matches == list_sources(pattern, store).matches
    assert set(found.matches) == {"take 1"}


def put(folder: Path, *paths: str) -> None:
    """The files, as far as the system takes their names; none outside of the folder."""
    for path in paths:
        file = (folder / path).resolve()
        if not file.is_relative_to(folder.resolve()):
            continue
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"x")
        except (OSError, ValueError):
            continue
