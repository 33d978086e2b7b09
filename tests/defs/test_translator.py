"""How assets and sources are named and described in the UI."""

import pytest

from klio_dagster import EntityAsset, Json
from klio_dagster.defs.translator import KlioTranslator

TRANSLATOR = KlioTranslator()


def tempo(entity, source: bytes):
    """Beats a minute of the whole track.

    Found by the autocorrelation of its onsets.

    Args:
        entity: the track.
        source: its recording.

    Returns:
        `bpm`, 30 to 300.

    Raises:
        ValueError: it has no beat.
    """
    return {"bpm": len(source)}


def undescribed(entity, source: bytes):
    return {"bpm": len(source)}


def described(transform, **options):
    asset = EntityAsset("tempo", transform, source="{entity}.wav", output=Json(), **options)
    return TRANSLATOR.get_asset_spec(asset).description


def test_the_description_says_what_the_output_is_not_how_the_function_is_called():
    assert described(tempo) == (
        "Beats a minute of the whole track.\n\nFound by the autocorrelation of its onsets."
        "\n\nReturns:\n    `bpm`, 30 to 300."
    )


def test_a_description_of_its_own_goes_before_the_docstring():
    assert described(tempo, description="BPM") == "BPM"


def test_a_transform_without_a_docstring_has_no_description():
    assert described(undescribed) is None


@pytest.mark.parametrize(
    ("pattern", "key"),
    [
        pytest.param("tracks/{entity}.flac", "source/tracks_flac", id="folder"),
        pytest.param("tracks/{entity}.*", "source/tracks", id="any-ending"),
        pytest.param("gs://songs/in/{entity:path}/a.wav", "source/gs_songs_in_a_wav", id="bucket"),
        pytest.param("{entity}.wav", "source/wav", id="store"),
        pytest.param("{entity}", "source", id="no-name"),
    ],
)
def test_a_source_is_named_by_where_it_lies(pattern, key):
    assert TRANSLATOR.get_source_spec(pattern).key.to_user_string() == key
