"""Where things lie in a store, and whose file a path is."""

import pytest
from hypothesis import given

from klio_dagster.errors import ConfigError
from klio_dagster.store import layout
from tests.strategies import entity_ids


@given(entity_ids)
def test_an_output_leads_back_to_its_entity(entity_id: str):
    path = layout.output_path("team/mel", entity_id, ".npy")

    assert path.startswith("team/mel/")
    assert layout.entity_of("team/mel", ".npy", path) == entity_id


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("mel/a.flac", id="other suffix"),
        pytest.param("mfcc/a.npy", id="other asset"),
        pytest.param("team/mel/a.npy", id="asset of a team"),
        pytest.param("mel/Capital.npy", id="foreign file"),
        pytest.param("mel/folder/a.npy", id="foreign folder"),
        pytest.param("mel/.npy", id="no name"),
    ],
)
def test_a_file_of_somebody_else_is_no_output(path: str):
    assert layout.entity_of("mel", ".npy", path) is None


@pytest.mark.parametrize(
    "asset",
    [
        pytest.param("", id="empty"),
        pytest.param("_klio", id="ours"),
        pytest.param("_KLIO_extra", id="ours where case is folded"),
        pytest.param("_klio/mel", id="inside ours"),
        pytest.param("../mel", id="parent"),
        pytest.param("/mel", id="absolute"),
        pytest.param("a//b", id="empty part"),
        pytest.param("mel ", id="space"),
        pytest.param("m" * 101, id="101 letters"),
    ],
)
def test_an_asset_whose_name_cannot_be_a_folder_is_refused_in_one_line(asset: str):
    with pytest.raises(ConfigError, match="asset '") as caught:
        layout.output_path(asset, "a", ".npy")

    assert len(str(caught.value).splitlines()) == 1


def test_everything_of_a_run_lies_in_our_own_folder():
    paths = [
        layout.receipts_prefix("r-1"),
        layout.compacted_receipts("r-1"),
        layout.claim_path("r-1"),
        layout.beat_path("r-1"),
        layout.manifest_part("r-1", 12),
        layout.failures_path("r-1"),
        layout.summary_path("r-1"),
    ]

    assert paths == [
        "_klio/receipts/r-1/",
        "_klio/receipts/r-1/compacted.jsonl.gz",
        "_klio/open/r-1/claim.json",
        "_klio/open/r-1/beat",
        "_klio/runs/r-1/manifest-00012.jsonl",
        "_klio/runs/r-1/failures.jsonl",
        "_klio/runs/r-1/summary.json",
    ]


def test_a_run_id_never_leads_to_another_folder():
    with pytest.raises(ConfigError, match=r"run '\.\./x'"):
        layout.claim_path("../x")


@given(entity_ids)
def test_a_tombstone_leads_back_to_its_entity(entity_id: str):
    path = layout.removed_path(entity_id)

    assert path.startswith("_klio/removed/")
    assert layout.removed_entity(path) == entity_id


@given(entity_ids, entity_ids)
def test_two_entities_never_share_a_tombstone_even_where_case_is_ignored(one: str, other: str):
    if one != other:
        assert layout.removed_path(one).casefold() != layout.removed_path(other).casefold()


def test_a_foreign_file_among_the_tombstones_is_none():
    assert layout.removed_entity("_klio/removed/.DS_Store") is None
