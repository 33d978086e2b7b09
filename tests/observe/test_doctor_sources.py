"""Sources of entities: listed, read, and there at all; nothing is written where they lie."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from klio_dagster.observe.doctor.examine import Check, examine
from klio_dagster.observe.doctor.finding import About, Finding, Verdict
from klio_dagster.observe.doctor.sources import look_at_sources, place_of
from klio_dagster.store.sources import SourcePattern
from klio_dagster.store.store import Store
from tests.observe.doctored import of, verdicts
from tests.services.buckets import Bucket, bucket_at
from tests.services.faults import Fault, FaultyProxy
from tests.services.gcs import GcsServer


@pytest.fixture
def proxy(gcs: GcsServer) -> Iterator[FaultyProxy]:
    with FaultyProxy(gcs.url) as proxy:
        yield proxy


@pytest.fixture
def through(proxy: FaultyProxy) -> Bucket:
    return bucket_at("gs", proxy.url)


def findings(store: Store, *patterns: str) -> Sequence[Finding]:
    parsed = [SourcePattern.parse(pattern) for pattern in patterns]
    about = About("source", place_of(store, parsed[0]))
    look = Check(about, "access", lambda: look_at_sources(store, parsed))
    return examine([look], within_s=30).findings


def folder_with(folder: Path, *names: str) -> Store:
    store = Store.open(str(folder))
    for name in names:
        store.put(name, b"sound")
    return store


def test_sources_elsewhere_are_listed_and_read_and_nothing_else(
    proxy: FaultyProxy, through: Bucket
):
    through.store().put("tracks/a.flac", b"sound")
    proxy.asked.clear()

    found = findings(through.store(), f"{through.url}/tracks/{{entity}}.flac")

    assert verdicts(found) == {"list": "ok", "read": "ok", "speed": "ok"}
    assert {method for method, _ in proxy.asked} <= {"GET", "HEAD"}


def test_sources_that_may_be_listed_and_not_read_are_found(proxy: FaultyProxy, through: Bucket):
    through.store().put("tracks/a.flac", b"sound")

    with proxy.broken(Fault(status=403, on="HEAD")):
        found = findings(through.store(), f"{through.url}/tracks/{{entity}}.flac")

    assert verdicts(found) == {"list": "ok", "read": "fail"}
    assert "storage.objects.get" in of(found, "read").remedy


def test_sources_in_the_store_itself_are_looked_at_as_well(tmp_path: Path):
    found = findings(folder_with(tmp_path, "tracks/a.flac"), "tracks/{entity}.flac")

    assert verdicts(found) == {"list": "ok", "read": "ok"}
    assert {each.where for each in found} == {f"{tmp_path}/tracks"}


@pytest.mark.parametrize("root", ["", "file://{}/"], ids=["in the store", "elsewhere"])
def test_a_place_without_sources_is_a_warning(tmp_path: Path, root: str):
    found = findings(folder_with(tmp_path), f"{root.format(tmp_path)}tracks/{{entity}}.flac")

    assert verdicts(found) == {"list": "ok", "read": "warn"}
    assert "nothing lies there" in of(found, "read").said
    assert "put recordings there" in of(found, "read").remedy


@pytest.mark.parametrize("root", ["", "file://{}/"], ids=["in the store", "elsewhere"])
def test_files_that_are_all_called_otherwise_are_a_warning(tmp_path: Path, root: str):
    store = folder_with(tmp_path, "tracks/a.wav", "tracks/b.wav")

    found = findings(store, f"{root.format(tmp_path)}tracks/{{entity}}.flac")

    warned = of(found, "read")
    assert verdicts(found) == {"list": "ok", "read": "warn"}
    assert "{entity}.flac' matches none of the 2 files there" in warned.said
    assert "a.wav" in warned.said
    assert warned.remedy == "correct the pattern"


def test_each_pattern_of_a_folder_has_to_match_something(tmp_path: Path):
    store = folder_with(tmp_path, "tracks/a.flac", "tracks/.DS_Store")

    found = findings(store, "tracks/{entity}.flac", "tracks/{entity}.json")

    assert [(each.what, each.verdict.value) for each in found] == [
        ("list", "ok"),
        ("read", "warn"),
        ("read", "ok"),
    ]
    assert "tracks/{entity}.json" in of(found, "read").said


def test_sources_beside_more_outputs_than_are_looked_at_are_not_said_to_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("klio_dagster.observe.doctor.sources._LOOKED_AT", 3)
    outputs = [f"mel/{number}.npy" for number in range(5)]
    store = folder_with(tmp_path, *outputs, *(f"tracks/{number}.wav" for number in range(5)))

    among_outputs = of(findings(store, "{entity}.flac"), "read")
    of_their_own = of(findings(store, "tracks/{entity}.flac"), "read")

    assert among_outputs.verdict is Verdict.OK
    assert "klio entities sync" in among_outputs.said
    assert of_their_own.verdict is Verdict.WARN
    assert "none of the first 3 files" in of_their_own.said


def test_what_is_ours_in_a_store_is_no_file_of_somebody(tmp_path: Path):
    store = folder_with(tmp_path, "_klio/ledger.json")

    assert "nothing lies there" in of(findings(store, "{entity}.flac"), "read").said
