"""Phrases that messages share."""

import pytest

from klio_dagster.core.wording import close_to, counted, did_you_mean


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 outputs"), (1, "1 output"), (2000, "2,000 outputs")]
)
def test_one_thing_is_not_spoken_of_as_several(number, said):
    assert counted(number, "output") == said


def test_words_with_another_plural_have_it():
    assert [counted(n, "entity", "entities") for n in (1, 2)] == ["1 entity", "2 entities"]


def test_a_misspelt_name_is_asked_about_and_a_strange_one_is_not():
    assert did_you_mean("recordin", ["mel", "recording"]) == "did you mean 'recording'?"
    assert did_you_mean("zzz", ["mel", "recording"]) is None


def test_the_right_one_of_a_hundred_thousand_ids_is_found():
    ids = [f"track-{number:06}" for number in range(100_000)]

    assert close_to("trak-098765", ids) == "track-098765"
