"""From files to entities: only what the listing holds, literally, and one file each."""

from pathlib import Path

import pytest
from hypothesis import given

from klio_dagster.errors import ConfigError, ObjectNotFoundError
from klio_dagster.store.layout import output_path
from klio_dagster.store.memory import MemoryStore
from klio_dagster.store.sources import (
    SourceListing,
    SourceObject,
    SourcePattern,
    list_sources,
    open_source,
)
from klio_dagster.store.store import Store
from tests.strategies import entity_ids


def _listing(pattern: str, *paths: str) -> SourceListing:
    store = MemoryStore()
    for path in paths:
        store.put(path, path.encode())
    return list_sources(SourcePattern.parse(pattern), store)


def _found(pattern: str, *paths: str) -> dict[str, str]:
    return {entity: s.path for entity, s in _listing(pattern, *paths).matches.items()}


@pytest.mark.parametrize(
    ("pattern", "path", "entity_id"),
    [
        pytest.param("tracks/{entity}.flac", "tracks/a b.flac", "a b", id="one part"),
        pytest.param("tracks/{entity}.*", "tracks/a.b.wav", "a.b", id="any suffix"),
        pytest.param("tracks/{entity}", "tracks/take#1.wav", "take#1.wav", id="whole name"),
        pytest.param("{entity}.flac", "Ä %41.flac", "Ä %41", id="literal name"),
        pytest.param("{entity:path}.wav", "a/b/c.wav", "a/b/c", id="several parts"),
        pytest.param("rec/{entity:escaped}.wav", "rec/%41%20b.wav", "A b", id="escaped name"),
        pytest.param("in/{entity}/mix.wav", "in/song/mix.wav", "song", id="folder name"),
        pytest.param("in/*/{entity}.wav", "in/album/song.wav", "song", id="any folder"),
        pytest.param("in/v1.(x)/t-{entity}.wav", "in/v1.(x)/t-9.wav", "9", id="no expression"),
    ],
)
def test_a_file_s_name_is_its_entity(pattern: str, path: str, entity_id: str):
    assert _found(pattern, path) == {entity_id: path}


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        pytest.param("tracks/{entity}.flac", "tracks/a.wav", id="other suffix"),
        pytest.param("rec/{entity:escaped}.wav", "rec/A b.wav", id="name not escaped"),
        pytest.param("tracks/{entity}.flac", "tracks/a.flac.part", id="longer suffix"),
        pytest.param("tracks/{entity}.flac", "tracks/a/b.flac", id="one folder more"),
        pytest.param("tracks/{entity}.flac", "other/a.flac", id="other folder"),
        pytest.param("tracks/{entity}.flac", "tracks/.flac", id="no name"),
        pytest.param("tracks/{entity}.*", "tracks/.DS_Store", id="hidden file"),
        pytest.param("tracks/v1.0/{entity}.flac", "tracks/v1x0/a.flac", id="dot is a dot"),
        pytest.param("{entity:path}.json", "_klio/open/r1/claim.json", id="our own folder"),
    ],
)
def test_a_file_that_does_not_match_is_no_entity(pattern: str, path: str):
    listing = _listing(pattern, path)

    assert not listing.matches
    assert not listing.refused


def test_two_files_of_one_entity_stop_only_that_entity():
    listing = _listing("tracks/{entity}.*", "tracks/a.wav", "tracks/a.flac", "tracks/b.wav")

    assert set(listing.matches) == {"b"}
    assert listing.ambiguous == {"a": ("tracks/a.flac", "tracks/a.wav")}


def test_a_file_whose_name_is_no_id_is_listed_with_the_reason(tmp_path: Path):
    (tmp_path / "tracks").mkdir()
    for name in ("good.flac", "a...b.flac", "tab\t.flac", "gpj.\u202e.flac", "  .flac"):
        (tmp_path / "tracks" / name).touch()
    pattern = SourcePattern.parse("tracks/{entity}.flac")

    listing = list_sources(pattern, Store.open(str(tmp_path)))

    assert set(listing.matches) == {"good"}
    assert set(listing.refused) == {"a...b", "tab\t", "gpj.\u202e", "  "}
    assert "range of partitions" in listing.refused["a...b"]


def test_a_changed_file_has_another_version(tmp_path: Path):
    file = tmp_path / "tracks/a.flac"
    file.parent.mkdir()
    file.write_bytes(b"one")
    pattern, store = SourcePattern.parse("tracks/{entity}.flac"), Store.open(str(tmp_path))
    first = list_sources(pattern, store).matches["a"]
    again = list_sources(pattern, store).matches["a"]

    file.write_bytes(b"three")
    changed = list_sources(pattern, store).matches["a"]

    assert first == again
    assert (first.size, changed.size) == (3, 5)
    assert first.version != changed.version


@given(entity_ids)
def test_an_id_is_never_joined_into_a_path(entity_id: str):
    store = MemoryStore()
    store.put("tracks/a.flac", b"")

    listing = list_sources(SourcePattern.parse("tracks/{entity:path}.flac"), store)

    assert (entity_id in listing.matches) == (entity_id == "a")


def test_an_id_that_looks_like_a_path_reads_nothing_outside_the_source(tmp_path: Path):
    (tmp_path / "data/tracks").mkdir(parents=True)
    (tmp_path / "secret.flac").write_bytes(b"secret")
    (tmp_path / "data/tracks/a.flac").write_bytes(b"music")
    store = Store.open(str(tmp_path / "data"))

    listing = list_sources(SourcePattern.parse("tracks/{entity:path}.flac"), store)

    assert listing.matches.get("../../secret") is None
    assert listing.matches.get(str(tmp_path / "secret")) is None
    with pytest.raises(ConfigError, match="does not stay inside"):
        open_source(store, SourceObject("tracks/../../secret.flac", "1", 6))


def test_a_linked_recording_is_a_source(tmp_path: Path):
    (tmp_path / "archive").mkdir()
    (tmp_path / "archive/original.flac").write_bytes(b"music")
    (tmp_path / "data/tracks").mkdir(parents=True)
    (tmp_path / "data/tracks/a.flac").symlink_to(tmp_path / "archive/original.flac")
    store = Store.open(str(tmp_path / "data"))

    source = list_sources(SourcePattern.parse("tracks/{entity}.flac"), store).matches["a"]

    assert open_source(store, source).read() == b"music"


def test_a_source_of_the_store_is_read_as_bytes_or_as_a_file(tmp_path: Path):
    store = Store.open(str(tmp_path))
    store.put("tracks/take#1.flac", b"music")
    source = list_sources(SourcePattern.parse("tracks/{entity}.flac"), store).matches["take#1"]

    opened = open_source(store, source)

    assert opened.read() == b"music"
    assert opened.path == tmp_path / "tracks/take#1.flac"
    assert opened.uri == str(opened.path)


def test_sources_may_lie_outside_the_store_if_a_url_says_so(tmp_path: Path):
    (tmp_path / "%41 music").mkdir()
    (tmp_path / "%41 music/%41.flac").write_bytes(b"music")
    store = Store.open(str(tmp_path / "data"))
    pattern = SourcePattern.parse(f"file://{tmp_path}/%41 music/{{entity}}.flac")

    source = list_sources(pattern, store).matches["%41"]

    assert source.path == f"file://{tmp_path}/%41 music/%41.flac"
    assert open_source(store, source).path == tmp_path / "%41 music/%41.flac"
    assert open_source(store, source).read() == b"music"


def test_a_bucket_of_sources_is_parsed_into_what_is_listed():
    pattern = SourcePattern.parse("gs://bucket/in/{entity}.flac")

    assert (pattern.root, pattern.prefix) == ("gs://bucket/in", "")


def test_a_source_that_has_gone_is_one_clear_line(tmp_path: Path):
    store = Store.open(str(tmp_path))

    with pytest.raises(ObjectNotFoundError, match=r"tracks/a\.flac") as caught:
        open_source(store, SourceObject("tracks/a.flac", "1", 1)).read()

    assert len(str(caught.value).splitlines()) == 1


def test_a_source_folder_that_is_not_there_has_no_entities(tmp_path: Path):
    listing = list_sources(SourcePattern.parse("tracks/{entity}.flac"), Store.open(str(tmp_path)))

    assert not listing.matches
    assert listing.location == str(tmp_path / "tracks")


@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param("", id="empty"),
        pytest.param("tracks/*.flac", id="no entity"),
        pytest.param("{entity}/{entity}.flac", id="two entities"),
        pytest.param("{entity}/{entity:path}.flac", id="two kinds of entity"),
        pytest.param("{track}/{entity}.flac", id="unknown name"),
        pytest.param("{entity", id="open brace"),
        pytest.param("{entity:int}", id="unknown kind"),
        pytest.param("../{entity}.flac", id="parent"),
        pytest.param("tracks/./{entity}.flac", id="dot"),
        pytest.param("/tracks/{entity}.flac", id="absolute"),
        pytest.param("tracks//{entity}.flac", id="empty part"),
        pytest.param("_klio/{entity}.flac", id="ours"),
        pytest.param("http://host/{entity}.flac", id="unknown scheme"),
        pytest.param("gs://{entity}/a.flac", id="entity as bucket"),
        pytest.param("gs://bucket/../{entity}.flac", id="parent in a bucket"),
        pytest.param("gs:///{entity}.flac", id="no bucket"),
        pytest.param("file://host/{entity}.flac", id="file on a host"),
    ],
)
def test_a_malformed_pattern_is_one_clear_line(pattern: str):
    with pytest.raises(ConfigError, match="source pattern '") as caught:
        SourcePattern.parse(pattern)

    assert len(str(caught.value).splitlines()) == 1


@given(entity_ids)
def test_an_output_is_the_source_of_the_same_entity_whatever_its_id(entity_id: str):
    path = output_path("recording", entity_id, ".flac")

    assert _found("recording/{entity:escaped}.flac", path) == {entity_id: path}
