"""How long to wait before the next attempt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from klio_dagster.core.backoff import Backoff
from klio_dagster.errors import ConfigError

seconds = st.floats(1e-3, 1e4)
backoffs = st.builds(Backoff, first_s=seconds, factor=st.floats(1, 100), longest_s=seconds)
failures = st.integers(0, 10**9)
dice = st.floats(0, 1, exclude_max=True)


@given(backoffs, failures, dice)
def test_no_wait_is_longer_than_the_longest(backoff: Backoff, failed: int, thrown: float):
    assert 0 <= backoff.wait_s(failed, thrown) <= backoff.longest_s


@given(backoffs, failures, dice)
def test_a_later_wait_is_never_shorter_by_the_same_dice(
    backoff: Backoff, failed: int, thrown: float
):
    assert backoff.wait_s(failed + 1, thrown) >= backoff.wait_s(failed, thrown)


@given(st.integers(1, 20), st.sampled_from([1.0, 2.0, 4.0]), dice)
def test_the_wait_grows_by_the_factor_until_it_is_the_longest(
    failed: int, factor: float, thrown: float
):
    backoff = Backoff(first_s=1.0, factor=factor, longest_s=2.0**60)

    assert backoff.wait_s(failed + 1, thrown) == factor * backoff.wait_s(failed, thrown)


@given(backoffs, failures)
def test_the_dice_reach_all_of_the_wait(backoff: Backoff, failed: int):
    whole = backoff.wait_s(failed)

    assert backoff.wait_s(failed, 0.0) == 0
    assert backoff.wait_s(failed, 0.5) == pytest.approx(whole / 2)
    assert backoff.wait_s(1) == min(backoff.first_s, backoff.longest_s)


def test_nobody_waits_who_has_not_failed():
    assert Backoff().wait_s(0) == 0


@pytest.mark.parametrize(
    ("first_s", "longest_s"),
    [pytest.param(5, 3600.0, id="short"), pytest.param(86_400, 86_400, id="longer-than-an-hour")],
)
def test_a_number_is_the_first_wait(first_s: float, longest_s: float):
    backoff = Backoff.of(first_s)

    assert (backoff.first_s, backoff.longest_s) == (first_s, longest_s)
    assert Backoff.of(backoff) is backoff


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param({"first_s": 0}, "above 0", id="no-time"),
        pytest.param({"longest_s": float("nan")}, "above 0", id="no-number"),
        pytest.param({"factor": 0.5}, "factor is 0.5", id="shorter-each-time"),
        pytest.param({"factor": 1000}, "factor is 1000", id="beyond-all-floats"),
    ],
)
def test_a_wrong_option_is_refused(options: dict[str, float], said: str):
    with pytest.raises(ConfigError, match=said):
        Backoff(**options)
