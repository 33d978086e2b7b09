"""Phrases that messages share: a number of things, and a guess at what was meant."""

from collections.abc import Iterable
from difflib import get_close_matches
from heapq import nlargest

_LEAST_SIMILAR = 0.65  # difflib's 0.6 takes `nobody` for `good`
_MOST_COMPARED = 2_000  # each comparison takes 20 us


def counted(number: int, one: str, several: str = "") -> str:
    """`1 entity`, `2,000 entities`.

    Args:
        number: how many.
        one: the word for one of them.
        several: the word for none and for more; with an `s` when empty.
    """
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def close_to(name: str, known: Iterable[str]) -> str | None:
    """The known name that looks most like this one; None if none does."""
    names = list(known)
    if len(names) > _MOST_COMPARED:
        names = nlargest(_MOST_COMPARED, names, key=lambda other: _shared_ends(name, other))
    return next(iter(get_close_matches(name, names, n=1, cutoff=_LEAST_SIMILAR)), None)


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """The question after the known name that looks most like this one; None if none does."""
    close = close_to(name, known)
    return None if close is None else f"did you mean '{close}'?"


def _shared_ends(one: str, other: str) -> int:
    """How many characters two names begin and end with in common."""
    number = 0
    for pairs in (zip(one, other), zip(reversed(one), reversed(other))):  # noqa: B905 - as far as both go
        for a, b in pairs:
            if a != b:
                break
            number += 1
    return number
