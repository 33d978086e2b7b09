"""What lies where the sources of a catalogue do, and that no run computes."""

from collections.abc import Iterator, Mapping
from typing import Any

from klio_dagster.core.ids import printable
from klio_dagster.core.wording import counted
from klio_dagster.defs.knowledge import Gathered
from klio_dagster.defs.requested import Wanted


def strays(wanted: Wanted, gathered: Gathered) -> dict[str, dict[str, Any]]:
    """Source pattern to what was found beside the catalogue; patterns without such are left out.

    Empty for a run of some entities only: who names them knows what else there is.

    Args:
        wanted: what the run was asked for.
        gathered: with the listings of its sources.
    """
    if not wanted.is_catalogue:
        return {}
    catalogue, removed = set(wanted.request.entities), gathered.knowledge.removed
    found: dict[str, dict[str, Any]] = {}
    for pattern, listing in gathered.listings.items():
        new = [e for e in listing.matches if e not in catalogue and e not in removed]
        is_empty = bool(catalogue) and not listing.matches
        if new or listing.unmatched or is_empty:
            found[pattern] = {
                "found": len(listing.matches),
                "new": len(new),
                "new_entity": new[0] if new else "",
                "unmatched": listing.unmatched,
                "unmatched_file": listing.unmatched_file,
            }
    return found


def told_of_strays(found: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """What `strays` found, in lines for people."""
    for pattern, beside in found.items():
        if not beside["found"]:
            yield f"{pattern}: no file matches; mend the pattern, or put the recordings there"
        new = beside["new"]
        if new:
            is_or_are, them = ("is", "it") if new == 1 else ("are", "them")
            yield (
                f"{pattern}: {counted(new, 'new file')} {is_or_are} not in the catalogue"
                f" ({_one_of(new, beside['new_entity'])}); add {them} with `klio entities sync`"
            )
        if beside["unmatched"]:
            yield told_of_unmatched(pattern, beside["unmatched"], beside["unmatched_file"])


def told_of_unmatched(pattern: str, number: int, file: str) -> str:
    """The files that lie in the folder of a pattern and do not match it.

    Args:
        pattern: as the user wrote it.
        number: how many there are.
        file: one of them.
    """
    do_not, them = ("does not", "it") if number == 1 else ("do not", "them")
    return (
        f"{pattern}: {counted(number, 'other file')} there {do_not} match"
        f" ({_one_of(number, file)}); rename or move {them}, or change the pattern"
    )


def _one_of(number: int, name: str) -> str:
    return printable(name) if number == 1 else f"{printable(name)}, say"
