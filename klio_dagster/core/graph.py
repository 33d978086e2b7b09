"""The chain of one group: order, cycles, and what a partial selection computes and loads."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from klio_dagster.core.asset import Dep, EntityAsset, EntityStep
from klio_dagster.core.wording import did_you_mean
from klio_dagster.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Inputs:
    """What one asset really reads: its own dependencies and those of its steps.

    Args:
        assets: names of the group's assets.
        outside: key paths of assets outside the group.
        sources: patterns of external inputs.
    """

    assets: tuple[str, ...]
    outside: tuple[str, ...]
    sources: tuple[str, ...]


class Chain:
    """Assets and steps in an order in which each comes after what it depends on.

    Args:
        parts: the assets and steps of one group, in any order.

    Raises:
        ConfigError: a name twice, an unknown dependency, a cycle, or no asset at all.
    """

    def __init__(self, parts: Iterable[EntityStep]) -> None:
        given = list(parts)
        self._parts: dict[str, EntityStep] = {}
        for part in given:
            if part.name in self._parts:
                raise ConfigError(
                    "the name is used twice", where=part.where, fix="names are unique in a group"
                )
            self._parts[part.name] = part
        for part in given:
            for dep in part.dependencies:
                if not dep.is_outside and dep.name not in self._parts:
                    raise _unknown(part, dep.name, list(self._parts))
                if dep.is_outside and dep.name in self._parts:
                    raise ConfigError(
                        f"dependency '{dep.name}' is given as an asset outside the group,"
                        " but the group has that name",
                        where=part.where,
                        fix=f"write deps=['{dep.name}'], or rename the one of the group",
                    )
        self.order: tuple[str, ...] = _sorted(self._parts)
        if not self.assets:
            raise ConfigError(
                "there is no asset in the group",
                where="klio_assets",
                fix="give at least one EntityAsset",
            )
        self._inputs = {name: self._inputs_of(name) for name in self.order}

    @property
    def assets(self) -> tuple[EntityAsset, ...]:
        """The assets, upstream first."""
        parts = (self._parts[name] for name in self.order)
        return tuple(part for part in parts if isinstance(part, EntityAsset))

    def part(self, name: str) -> EntityStep:
        """The asset or step of that name."""
        return self._parts[name]

    def inputs(self, name: str) -> Inputs:
        """What an asset (or step) reads, through its steps."""
        return self._inputs[name]

    def outside(self, name: str) -> tuple[Dep, ...]:
        """What an asset reads from outside the group, through its steps."""
        parts = [self._parts[name], *(self._parts[step] for step in self.steps_for(name))]
        return tuple(dep for part in parts for dep in part.dependencies if dep.is_outside)

    def steps_for(self, name: str) -> frozenset[str]:
        """The steps that have to run when this asset runs."""
        return steps_below(
            name,
            lambda part: [
                dep.name
                for dep in self._parts[part].dependencies
                if not dep.is_outside and not isinstance(self._parts[dep.name], EntityAsset)
            ],
        )

    def computed(self, selected: Collection[str]) -> tuple[str, ...]:
        """The selected assets and the steps they need, upstream first."""
        needed = set(selected).union(*(self.steps_for(name) for name in selected))
        return tuple(name for name in self.order if name in needed)

    def _inputs_of(self, name: str) -> Inputs:
        names = [n for n in self.order if n == name or n in self.steps_for(name)]
        parts = [self._parts[n] for n in names]
        deps = [dep for part in parts for dep in part.dependencies]
        return Inputs(
            assets=_unique(
                d.name
                for d in deps
                if not d.is_outside and isinstance(self._parts[d.name], EntityAsset)
            ),
            outside=_unique(d.name for d in deps if d.is_outside),
            sources=_unique(part.source for part in parts if part.source is not None),
        )


def steps_below(name: str, steps_of: Callable[[str], Iterable[str]]) -> frozenset[str]:
    """The steps that a part needs, and those that they need.

    Args:
        name: of the part.
        steps_of: the steps among what a part depends on, by name.
    """
    found: set[str] = set()
    waiting = [name]
    while waiting:
        for step in steps_of(waiting.pop()):
            if step not in found:
                found.add(step)
                waiting.append(step)
    return frozenset(found)


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _unknown(part: EntityStep, name: str, known: Sequence[str]) -> ConfigError:
    others = [other for other in known if other != part.name]
    hint = did_you_mean(name, others) or f"the group has {', '.join(known)}"
    return ConfigError(
        f"unknown dependency '{name}'",
        where=part.where,
        fix=f"{hint} (an asset outside the group is named by dg.AssetKey('{name}'))",
    )


def _sorted(parts: dict[str, EntityStep]) -> tuple[str, ...]:
    """Depth first in the given order, so that equal definitions give equal chains."""
    done: dict[str, None] = {}

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            raise ConfigError(
                f"it depends on itself: {' -> '.join([*path[path.index(name) :], name])}",
                where=parts[name].where,
                fix="take one of these dependencies away",
            )
        if name not in done:
            for dep in parts[name].dependencies:
                if not dep.is_outside:
                    visit(dep.name, (*path, name))
            done[name] = None

    for name in parts:
        visit(name, ())
    return tuple(done)
