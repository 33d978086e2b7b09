"""External inputs: which file belongs to whom, what is missing, what Dagster is told."""

from pathlib import Path

import dagster as dg

from klio_dagster.codecs.json import Json
from klio_dagster.core.asset import EntityAsset
from tests.flows import flow_jobs as jobs
from tests.flows.catalogue import Catalogue, all_of, group, tracks

SOURCE = dg.AssetKey(["source", "tracks_txt"])


def test_each_kind_of_pattern_finds_its_files(catalogue: Catalogue, tmp_path: Path) -> None:
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    (elsewhere / "x.txt").write_bytes(b"from elsewhere")
    made = group(
        EntityAsset("exact", jobs.text, source="exact/{entity}.txt", output=Json()),
        EntityAsset("any", jobs.text, source="any/{entity}.*", output=Json()),
        EntityAsset("deep", jobs.text, source="deep/{entity:path}.txt", output=Json()),
        EntityAsset("far", jobs.text, source=f"file://{elsewhere}/{{entity}}.txt", output=Json()),
    )
    for path in ("exact/x.txt", "any/x.wav", "any/two.wav", "any/two.flac", "deep/x.txt"):
        catalogue.put(path, path.encode())
    catalogue.put("deep/artist/album/x.txt", b"three folders down")
    catalogue.register("x", "two", "artist/album/x")

    run = catalogue.run(made, entities="all")

    assert {asset: catalogue.load(f"{asset}/x.json")["text"] for asset in made_names(made)} == {
        "exact": "exact/x.txt",
        "any": "any/x.wav",
        "deep": "deep/x.txt",
        "far": "from elsewhere",
    }
    assert catalogue.materialized("deep") == {"x", "artist/album/x"}
    assert run.failures["two", "any"] == (
        "input_missing: several files match 'any/{entity}.*':"
        " any/two.flac, any/two.wav; keep one of them"
    )
    assert run.failures["two", "exact"] == (
        "input_missing: no file matches 'exact/{entity}.txt' in"
        f" {catalogue.folder}/exact; put it there"
    )
    assert run.failures["artist/album/x", "far"] == (
        f"input_missing: no file matches 'file://{elsewhere}/{{entity}}.txt' in"
        f" {elsewhere}; put it there"
    )


def made_names(made: dg.AssetsDefinition) -> list[str]:
    return sorted(key.to_user_string() for key in made.keys)


def observed(catalogue: Catalogue) -> list[str]:
    """The partitions of the source's observations, oldest first."""
    records = catalogue.instance.fetch_observations(SOURCE, limit=100, ascending=True).records
    return [record.partition_key or "" for record in records]


def test_dagster_is_told_of_changed_sources_only(computed: Catalogue) -> None:
    assert sorted(observed(computed)) == ["a", "b"]
    assert SOURCE in {dep.asset_key for spec in tracks().specs for dep in spec.deps}

    computed.run(tracks(), entities="all")
    assert len(observed(computed)) == 2

    computed.put("tracks/b.txt", b"changed")
    computed.register("c")
    computed.put("tracks/c.txt", b"new, and not asked for")
    assert computed.run(tracks(), entities=["a", "b"]).counts("materialized") == all_of(1)
    assert observed(computed)[2:] == ["b"]
