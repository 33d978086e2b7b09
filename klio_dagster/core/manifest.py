"""`Manifest`: a plan written down for a driver; `Task`: what to do for one entity, a JSON line."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast

from klio_dagster.core.asset import EntityAsset
from klio_dagster.core.graph import Chain
from klio_dagster.core.output import Json
from klio_dagster.core.reference import reference_of

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class PartSpec:
    """One asset or step of the chain, as a worker needs it.

    Args:
        name: what other parts call it.
        transform: `module:name`.
        deps: parameter of the transform to the name of the part, or to the key path of an asset
            outside the group, that it receives.
        source: pattern of the external input.
        params: keyword arguments of the transform.
        timeout_s: seconds after which one computation fails.
        code_version: recorded with what it computes.
        inputs: what the output is made from, through steps: name or pattern to asset key.
        key: asset key, joined by `/`; empty for a step.
        codec: the output codec as JSON; None for a step.
        checks: the user's checks of the output as JSON.
        is_looked_at: its stored output is checked again, and nothing computed.
        retries: how often a transient failure is tried again.
        transient: `module:name` of exception classes and of functions that know transient ones;
            None for what is transient by default.
        memory: bytes its worker may hold; None for no limit.
        batch_size: how many entities one call of the transform gets.
    """

    name: str
    transform: str
    deps: Mapping[str, str]
    source: str | None
    params: Mapping[str, Json]
    timeout_s: float
    code_version: str
    inputs: Mapping[str, str]
    key: str = ""
    codec: Mapping[str, Json] | None = None
    checks: Sequence[Mapping[str, Json]] = ()
    is_looked_at: bool = False

    retries: int = 0
    transient: Sequence[str] | None = None
    memory: int | None = None
    batch_size: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "checks", tuple(self.checks))  # equal to itself when read back
        if self.transient is not None:
            object.__setattr__(self, "transient", tuple(self.transient))

    @property
    def is_step(self) -> bool:
        """It is computed but not stored."""
        return self.codec is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """The stored output of an asset outside the group, for one entity.

    Args:
        uri: where it lies: an absolute path or a URL, never relative to a store.
        codec: how it is loaded.
    """

    uri: str
    codec: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is to be computed for one entity.

    Args:
        entity: entity id.
        run: names of the assets to compute, upstream first.
        versions: data version of each input that is not computed here: name of a part, key path
            of an outside asset or source pattern to version.
        sources: source pattern to the path of what it matched.
        outside: key path to the stored output of an asset outside the group.
        tried: name of an asset to the errors of its attempts so far, a line each; an entity with
            any is computed apart from others.
    """

    entity: str
    run: Sequence[str]
    versions: Mapping[str, str] = field(default_factory=dict[str, str])
    sources: Mapping[str, str] = field(default_factory=dict[str, str])
    outside: Mapping[str, Outside] = field(default_factory=dict[str, Outside])
    tried: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])

    def __post_init__(self) -> None:
        object.__setattr__(self, "run", tuple(self.run))  # equal to itself when read back
        if self.tried:
            tried = {name: tuple(errors) for name, errors in self.tried.items()}
            object.__setattr__(self, "tried", tried)

    def to_line(self) -> str:
        """The task as one line of JSON, with its newline."""
        fields: dict[str, Any] = {"entity": self.entity, "run": list(self.run)}
        if self.versions:
            fields["versions"] = dict(self.versions)
        if self.sources:
            fields["sources"] = dict(self.sources)
        if self.outside:
            fields["outside"] = {key: asdict(at) for key, at in self.outside.items()}
        if self.tried:
            fields["tried"] = {name: list(errors) for name, errors in self.tried.items()}
        return json.dumps(fields, separators=(",", ":")) + "\n"

    @classmethod
    def from_line(cls, line: str) -> "Task":
        """The task that a line holds.

        Raises:
            ValueError: the line is not a task.
        """
        fields = cast("dict[str, Any]", json.loads(line))
        try:
            outside = fields.get("outside", {})
            return cls(
                entity=fields["entity"],
                run=fields["run"],
                versions=fields.get("versions", {}),
                sources=fields.get("sources", {}),
                outside={key: Outside(**at) for key, at in outside.items()},
                tried=fields.get("tried", {}),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a task: {error!r}") from error

    def only(self, left: Sequence[str], versions: Mapping[str, str]) -> "Task":
        """The task that is left when all but these assets are finished.

        Args:
            left: names of the assets.
            versions: name to data version of those that were computed.
        """
        return replace(
            self,
            run=[name for name in self.run if name in left],
            versions={**self.versions, **versions},
        )

    def tried_again(self, name: str, error: str) -> "Task":
        """The task with one more failed attempt at an asset."""
        return replace(self, tried={**self.tried, name: (*self.tried.get(name, ()), error)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The head of a run's manifest; the tasks lie in its parts.

    Args:
        run: work id: the run's, with the group's name where the run computes several.
        store: URL of the store.
        parts: paths of the JSON-lines files with the tasks.
        chain: assets and steps, upstream first.
        engine: options of the engine, `{"kind": "local", ...}`.
        install: modules to import first in drivers and workers.
        attempt: 1 for the first execution of this manifest.
        generation: of the claim that outputs are written under; empty where nobody holds one.
        clock: the time when it was written, in seconds since the epoch and by the machine's clock
            that is never set; None where drivers and workers take the wall clock.
    """

    run: str
    store: str
    parts: Sequence[str]
    chain: Sequence[PartSpec]
    engine: Mapping[str, Json]
    install: Sequence[str] = ()
    attempt: int = 1
    generation: str = ""
    clock: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        for name in ("parts", "chain", "install"):  # equal to itself when read back
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.clock is not None:
            at, passed_s = self.clock
            object.__setattr__(self, "clock", (at, passed_s))

    def to_json(self) -> str:
        """The head as JSON text."""
        return json.dumps({"v": SCHEMA, **asdict(self)})

    @classmethod
    def from_json(cls, text: str | bytes) -> "Manifest":
        """The head that a text holds.

        Raises:
            ValueError: the text is not a manifest of this schema.
        """
        fields = cast("dict[str, Any]", json.loads(text))
        try:
            schema = fields.pop("v")
            if schema != SCHEMA:
                raise ValueError(f"manifest of schema {schema}, this version reads {SCHEMA}")
            chain = [PartSpec(**part) for part in fields.pop("chain")]
            return cls(chain=chain, **fields)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a manifest: {error!r}") from error


def part_specs(
    chain: Chain,
    names: Sequence[str],
    code_versions: Mapping[str, str],
    keys: Mapping[str, str],
) -> list[PartSpec]:
    """The parts of a chain as workers need them.

    Args:
        chain: the group.
        names: assets and steps, upstream first.
        code_versions: of each part.
        keys: name of an asset, key path of an outside one or source pattern to asset key.
    """
    specs: list[PartSpec] = []
    for name in names:
        part = chain.part(name)
        inputs = chain.inputs(name)
        asset = part if isinstance(part, EntityAsset) else None
        specs.append(
            PartSpec(
                name=name,
                transform=reference_of(part.transform),
                deps={dep.parameter: dep.name for dep in part.dependencies},
                source=part.source,
                params=dict(part.params),
                timeout_s=part.timeout_s,
                code_version=code_versions[name],
                inputs={
                    dep: keys.get(dep, dep)
                    for dep in (*inputs.assets, *inputs.outside, *inputs.sources)
                },
                key=keys.get(name, name) if asset else "",
                codec={"name": asset.output.name, **asset.output.to_json()} if asset else None,
                checks=[check.to_json() for check in asset.checks] if asset else (),
                **(_care(asset) if asset else {}),
            )
        )
    return specs


def _care(asset: EntityAsset) -> dict[str, Any]:
    """The fields that say how its attempts are made, bounded and repeated."""
    errors = asset.transient_errors
    return {
        "retries": asset.retries,
        "transient": None if errors is None else [reference_of(each) for each in errors],
        "memory": asset.memory_bytes,
        "batch_size": asset.batch_size,
    }
