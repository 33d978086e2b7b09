"""Which checks Dagster knows of a group, and that they are its own in every respect."""

import warnings

import dagster as dg
import pytest

from klio_dagster.codecs.array import Array
from klio_dagster.codecs.json import Json
from klio_dagster.codecs.table import Table
from klio_dagster.core.asset import EntityAsset
from klio_dagster.core.check import Check
from klio_dagster.core.entity import Entity
from klio_dagster.defs.decorator import klio_assets
from klio_dagster.defs.resource import KlioResource
from klio_dagster.defs.translator import KlioTranslator
from klio_dagster.ledger import events

TRACKS = dg.DynamicPartitionsDefinition(name="tracks")


def make(entity: Entity) -> dict:
    return {"id": entity.id}


def is_fine(value: dict) -> bool:
    """It is fine."""
    return bool(value)


class Prefixed(KlioTranslator):
    def get_asset_spec(self, asset: EntityAsset) -> dg.AssetSpec:
        return super().get_asset_spec(asset).replace_attributes(key=["audio", asset.name])


def group(**options) -> dg.AssetsDefinition:
    @klio_assets(
        partitions_def=TRACKS,
        assets=[
            EntityAsset("plain", make, output=Json()),
            EntityAsset(
                "checked",
                make,
                output=Array(),
                checks=[Check(is_fine), Check(is_fine, name="too", severity="warn")],
            ),
            EntityAsset("table", make, output=Table(schema="no.such.module:Levels")),
        ],
        **options,
    )
    def compute(context: dg.AssetExecutionContext, klio: KlioResource):
        yield from klio.run(context=context)

    return compute


def test_every_check_of_an_asset_is_one_of_dagster_with_the_same_partitions():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = group(translator=Prefixed())

    specs = {(s.asset_key.to_user_string(), s.name): s for s in made.check_specs}
    assert set(specs) == {
        ("audio/checked", "is_fine"),
        ("audio/checked", "too"),
        ("audio/table", "schema"),
    }
    assert {spec.partitions_def for spec in specs.values()} == {TRACKS}
    described = [spec.description for spec in specs.values()]
    assert described == [
        "It is fine. What does not pass is not stored.",
        "It is fine. What fails is flagged.",
        "The table is what `no.such.module:Levels` says. What does not pass is not stored.",
    ]


def test_others_still_hear_of_previews_of_dagster():
    group()

    with pytest.warns(dg.PreviewWarning):
        dg.AssetCheckSpec("mine", asset="mine", partitions_def=TRACKS)


def test_without_partitions_of_checks_there_are_checks_all_the_same(monkeypatch):
    monkeypatch.setattr(events, "CHECKS_HAVE_PARTITIONS", False)

    assert [spec.partitions_def for spec in group().check_specs] == [None] * 3


def test_a_selection_of_assets_brings_their_checks_and_no_others():
    klio = KlioResource(store="unused")
    graph = dg.Definitions(assets=[group()], resources={"klio": klio}).resolve_asset_graph()

    assets = dg.AssetSelection.assets("checked")

    assert {key.name for key in assets.resolve_checks(graph)} == {"is_fine", "too"}
    assert assets.without_checks().resolve_checks(graph) == set()
