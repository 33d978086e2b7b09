"""Where letters lie in folders of folders, and how one is found by the beginning of its id."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from klio_dagster.core.ids import printable
from klio_dagster.core.wording import did_you_mean
from klio_dagster.errors import ConfigError
from klio_dagster.store.dead_letter import SUFFIX
from klio_dagster.store.objects import ObjectStore


class Kept(NamedTuple):
    """One object.

    Args:
        name: id of the letter, if it is one.
        path: in the store, `.../<group or sensor>/<name>.json`.
        size: in bytes.
    """

    name: str
    path: str
    size: int

    @property
    def folder(self) -> str:
        """The group or sensor it belongs to."""
        return self.path.rpartition("/")[0].rpartition("/")[2]


def all_kept(store: ObjectStore, prefix: str) -> list[Kept]:
    """The objects of a folder, sorted by name; none is read.

    Raises:
        ConfigError: the store does not let us read.
        StoreUnavailableError: it did not answer.
    """
    return sorted(
        Kept(info.path.rpartition("/")[2].removesuffix(SUFFIX), info.path, info.size)
        for info in store.list(prefix)
    )


def find(where: Sequence[Kept], names: Iterable[str]) -> list[Kept]:
    """Those of these names, or of beginnings that no other has, each once.

    Args:
        where: all there are, sorted.
        names: ids of letters, or how they begin.

    Raises:
        ConfigError: none has one of the names, or several have.
    """
    found: dict[Kept, None] = {}
    for name in names:
        match begins(where, name):
            case [one]:
                found[one] = None
            case [one, other] if one.name == name != other.name:
                found[one] = None
            case [one, other]:
                where_else = f"--group {one.folder} or --group {other.folder}"
                raise ConfigError(
                    f"several begin with '{printable(name)}'",
                    where="dead letter",
                    fix=where_else if one.name == other.name else "write more of the id",
                )
            case _:
                close = did_you_mean(name, {each.name[: len(name)] for each in where})
                refused = unknown(name, close)
                raise refused
    return list(found)


def begins(where: Sequence[Kept], name: str) -> list[Kept]:
    """The first two whose names begin like this; none for an empty one."""
    start = bisect_left(where, (name, "", 0))
    return [each for each in where[start : start + 2] if name and each.name.startswith(name)]


def unknown(name: str, close: str | None = None) -> ConfigError:
    """The refusal of an id that none has."""
    return ConfigError(
        f"there is none that begins with '{printable(name)}'",
        where="dead letter",
        fix=" ".join(filter(None, (close, "`klio dead-letter list` prints the ids"))),
    )
