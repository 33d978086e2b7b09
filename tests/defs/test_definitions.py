"""What `@klio_assets` makes of a group, and what it refuses with one line."""

from collections.abc import Callable, Sequence

import dagster as dg
import pytest

from klio_dagster.codecs.array import Array
from klio_dagster.codecs.json import Json
from klio_dagster.core.asset import EntityAsset, EntityStep
from klio_dagster.core.entity import Entity
from klio_dagster.defs.decorator import klio_assets, source_assets
from klio_dagster.defs.group import group_of
from klio_dagster.defs.resource import KlioResource
from klio_dagster.defs.translator import KlioTranslator
from klio_dagster.errors import ConfigError

TRACKS = dg.DynamicPartitionsDefinition(name="tracks")


def normalise(entity: Entity, source: bytes) -> dict[str, str]:
    """Evens out how loud a recording is."""
    return {"id": entity.id, "text": source.decode()}


def mel(recording: dict[str, str]) -> list[float]:
    return [float(len(recording))]


def features(recording: dict[str, str], mel: list[float], window: int) -> dict[str, int]:
    return {"n": len(recording) + len(mel) + window}


def recording() -> EntityAsset:
    return EntityAsset("recording", normalise, source="tracks/{entity}.flac", output=Json())


def made_of(
    *assets: EntityStep,
    partitions_def: object = TRACKS,
    translator: KlioTranslator | None = None,
    **options: object,
) -> dg.AssetsDefinition:
    @klio_assets(
        partitions_def=partitions_def,  # pyright: ignore[reportArgumentType]
        assets=assets,
        translator=translator,
        **options,  # pyright: ignore[reportArgumentType]
    )
    def track_audio(context: dg.AssetExecutionContext, klio: KlioResource):
        yield from klio.run(context=context)

    return track_audio


def chain(*names: str) -> list[EntityAsset]:
    """Assets of which each depends on the next, the last on the first."""
    following = [*names[1:], names[0]]
    transforms: dict[str, Callable[..., object]] = {"one": one, "two": two, "three": three}
    return [
        EntityAsset(name, transforms[name], deps=[dep], output=Json())
        for name, dep in zip(names, following, strict=True)
    ]


def one(two: object) -> object:
    return two


def two(three: object) -> object:
    return three


def three(one: object) -> object:
    return one


DAILY = dg.AssetSpec("daily", partitions_def=dg.DailyPartitionsDefinition("2026-01-01"))
ALBUMS = dg.AssetSpec("album", partitions_def=dg.DynamicPartitionsDefinition(name="albums"))


def by_day(daily: object) -> object:
    return daily


def of_album(album: object) -> object:
    return album


REFUSED: Sequence[tuple[str, Callable[[], object], str]] = (
    (
        "an unknown dependency with a near name",
        lambda: made_of(recording(), EntityAsset("x", mel, deps=["recordin"], output=Array())),
        "asset 'x': parameter 'recording' of the transform has no input;"
        " deps has 'recordin': did you mean 'recording'?",
    ),
    (
        "an unknown dependency that the transform has",
        lambda: made_of(
            EntityAsset("recordings", normalise, source="a/{entity}", output=Json()),
            EntityAsset("x", mel, deps=["recording"], output=Array()),
        ),
        "asset 'x': unknown dependency 'recording'; did you mean 'recordings'?"
        " (an asset outside the group is named by dg.AssetKey('recording'))",
    ),
    (
        "a cycle",
        lambda: made_of(*chain("one", "two", "three")),
        "asset 'one': it depends on itself: one -> two -> three -> one;"
        " take one of these dependencies away",
    ),
    (
        "a name twice",
        lambda: made_of(recording(), recording()),
        "asset 'recording': the name is used twice; names are unique in a group",
    ),
    (
        "a step with the name of an asset",
        lambda: made_of(recording(), EntityStep("recording", one, deps=["two"])),
        "step 'recording': the name is used twice; names are unique in a group",
    ),
    (
        "a parameter without input",
        lambda: made_of(
            recording(),
            EntityAsset("mel", mel, deps=["recording"], output=Array()),
            EntityAsset("features", features, deps=["recording", "mel"], output=Json()),
        ),
        "asset 'features': parameter 'window' of the transform has no input;"
        " name it in deps or give it a value in params",
    ),
    (
        "an asset with daily partitions",
        lambda: made_of(EntityAsset("x", by_day, deps=[DAILY], output=Json())),
        "asset 'x': 'daily' is partitioned by something else;"
        " depend on assets with the same partitions, or on unpartitioned ones",
    ),
    (
        "an asset of another catalogue, by a step",
        lambda: made_of(
            EntityStep("album_of", of_album, deps=[ALBUMS]),
            EntityAsset("x", of_step, deps=["album_of"], output=Json()),
        ),
        "asset 'x': 'album' is partitioned by something else;"
        " depend on assets with the same partitions, or on unpartitioned ones",
    ),
    (
        "static partitions",
        lambda: made_of(recording(), partitions_def=dg.StaticPartitionsDefinition(["a"])),
        "klio_assets: partitions_def is StaticPartitionsDefinition(partition_keys=['a']);"
        ' use dg.DynamicPartitionsDefinition(name="tracks")',
    ),
    (
        "no partitions",
        lambda: made_of(recording(), partitions_def=None),
        'klio_assets: partitions_def is None; use dg.DynamicPartitionsDefinition(name="tracks")',
    ),
    (
        "no asset",
        made_of,
        "klio_assets: there is no asset in the group; give at least one EntityAsset",
    ),
    (
        "a run of no entities",
        lambda: made_of(recording(), max_entities_per_run=0),
        "klio_assets: max_entities_per_run is 0; use 1 or more",
    ),
    (
        "a topic that can be none",
        lambda: made_of(recording(), publish_to="finished tracks"),
        "topic 'finished tracks': no name that Pub/Sub takes; use 3 to 255 letters, digits and"
        " -_.~+% that begin with a letter and not with 'goog', or projects/PROJECT/topics/NAME",
    ),
    (
        "a source outside of the store",
        lambda: made_of(EntityAsset("x", normalise, source="../{entity}.flac", output=Json())),
        "source pattern '../{entity}.flac': it contains '.', '..' or a NUL;"
        " write it like 'tracks/{entity}.flac' (in the store), 'file:///music/{entity}.flac' or"
        " 'gs://bucket/tracks/{entity}.*'",
    ),
    (
        "two assets with one key",
        lambda: made_of(
            recording(),
            EntityAsset("mel", mel, deps=["recording"], output=Array()),
            translator=AllTheSame(),
        ),
        "klio_assets: 'recording' and 'mel' have the same asset key 'same';"
        " rename one, or give it another key in a KlioTranslator",
    ),
    (
        "sources of something else",
        lambda: source_assets(plain),
        "source_assets of 'plain': it was not made by @klio_assets; give it the groups only",
    ),
)


def of_step(album_of: object) -> object:
    return album_of


class AllTheSame(KlioTranslator):
    def get_asset_spec(self, asset: EntityAsset) -> dg.AssetSpec:
        return super().get_asset_spec(asset).replace_attributes(key="same")


@dg.asset
def plain() -> None: ...


@pytest.mark.parametrize(
    ("define", "line"),
    [pytest.param(define, line, id=name) for name, define, line in REFUSED],
)
def test_a_malformed_group_is_refused_with_one_line(
    define: Callable[[], object], line: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        define()

    assert str(refused.value) == line


def test_each_asset_has_its_provenance_in_dagster() -> None:
    group = made_of(
        recording(),
        EntityStep("mel_step", mel, deps=["recording"]),
        EntityAsset("shape", stepped, deps=["mel_step"], output=Json(), owners=["team:audio"]),
    )

    specs = {spec.key.to_user_string(): spec for spec in group.specs}

    assert set(specs) == {"recording", "shape"}
    assert [dep.asset_key.to_user_string() for dep in specs["shape"].deps] == ["recording"]
    assert [dep.asset_key.to_user_string() for dep in specs["recording"].deps] == [
        "source/tracks_flac"
    ]
    assert specs["recording"].description == "Evens out how loud a recording is."
    assert list(specs["shape"].owners) == ["team:audio"]
    assert all(spec.code_version for spec in specs.values())
    assert all(spec.partitions_def == TRACKS for spec in specs.values())
    assert group.backfill_policy == dg.BackfillPolicy.multi_run(1000)


def stepped(mel_step: list[float]) -> dict[str, int]:
    return {"n": len(mel_step)}


def test_sources_are_external_assets_with_the_partitions_of_the_group() -> None:
    group = made_of(recording())

    defs = dg.Definitions(assets=[group, *source_assets(group)], resources={"klio": KlioResource()})

    dg.Definitions.validate_loadable(defs)
    source = defs.resolve_asset_graph().get(dg.AssetKey(["source", "tracks_flac"]))
    assert source.is_external
    assert source.partitions_def == TRACKS
    assert {key.to_user_string() for key in source.child_keys} == {"recording"}


def test_a_group_is_found_again_from_its_definition_and_copies_of_it() -> None:
    group = made_of(recording())

    for definition in (group, group.with_attributes(group_names_by_key={group.key: "audio"})):
        found = group_of(definition)
        assert found is not None
        assert found.name == "track_audio"
    assert group_of(plain) is None


def test_a_key_of_several_parts_names_a_folder_of_the_store() -> None:
    class Prefixed(KlioTranslator):
        def get_asset_spec(self, asset: EntityAsset) -> dg.AssetSpec:
            spec = super().get_asset_spec(asset)
            return spec.replace_attributes(key=dg.AssetKey(["audio", *spec.key.path]))

    group = group_of(made_of(recording(), translator=Prefixed()))

    assert group is not None
    assert group.keys["recording"] == "audio/recording"
    assert group.names_of(["audio/recording"]) == ["recording"]
