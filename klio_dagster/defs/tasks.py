"""A plan turned into what workers get (tasks) and what is already settled (failures)."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from klio_dagster.core.graph import Chain
from klio_dagster.core.ids import id_problem
from klio_dagster.core.manifest import Manifest, Task, part_specs
from klio_dagster.core.plan import Decision, Plan
from klio_dagster.core.receipt import UPSTREAM_FAILED, Failure, Receipt
from klio_dagster.defs.group import EntityGroup
from klio_dagster.defs.knowledge import Gathered
from klio_dagster.store.clock import Clock, passed_s, time_at
from klio_dagster.store.layout import manifest_head, manifest_part
from klio_dagster.store.open_claim import OpenClaim
from klio_dagster.store.store import Store

_TASKS_PER_PART = 10_000
_TAKEN_DOWN = "it was taken down; `klio entities restore` lifts that"


def tasks(plan: Plan, group: EntityGroup, gathered: Gathered) -> Iterator[Task]:
    """One task for each entity that has something to run."""
    chain = group.chain
    for entity in plan.entities:
        names = plan.runs(entity)
        if not names:
            continue
        inputs = [chain.inputs(name) for name in names]
        versions: dict[str, str] = {}
        sources: dict[str, str] = {}
        for pattern in {pattern for each in inputs for pattern in each.sources}:
            found = gathered.listings[pattern].matches.get(entity)
            if found is not None:
                versions[pattern], sources[pattern] = found.version, found.path
        for dep in {dep for each in inputs for dep in (*each.assets, *each.outside)}:
            version = _version(gathered, dep, entity) if dep not in names else None
            if version is not None:
                versions[dep] = version
        yield Task(
            entity=entity,
            run=list(names),
            versions=versions,
            sources=sources,
            outside={
                key: stored
                for key, at in gathered.outside.items()
                if (stored := at.get(entity)) and any(key in each.outside for each in inputs)
            },
        )


def write_manifest(
    store: Store,
    held: OpenClaim,
    engine: dict[str, Any],
    plan: Plan,
    group: EntityGroup,
    gathered: Gathered,
) -> Manifest:
    """Write a plan down for a driver: parts first, then the head that names them.

    Raises:
        ConfigError: the store does not let us write, or a transform has no importable name.
        StoreUnavailableError: the store did not answer.
    """
    manifest = Manifest(
        run=held.claim.work_id,
        generation=held.claim.generation,
        store=store.url,
        parts=(),
        chain=part_specs(
            group.chain, _named(group.chain, gathered.selected), group.code_versions, group.keys
        ),
        engine=engine,
    )
    return store_manifest(store, manifest, tasks(plan, group, gathered), wall=held.clock)


def store_manifest(
    store: Store,
    manifest: Manifest,
    todo: Iterable[Task],
    *,
    wall: Clock | None = None,
    monotonic: Clock = passed_s,
) -> Manifest:
    """Write tasks and then the head that names their parts, and the time.

    Args:
        store: the run's.
        manifest: the head, without parts.
        todo: the tasks.
        wall: seconds since the epoch, as they are set; the store's if None, so that the receipts
            of all machines are by one clock.
        monotonic: seconds.

    Raises:
        ConfigError: the store does not let us write.
        StoreUnavailableError: the store did not answer.
    """
    lines = (task.to_line() for task in todo)
    parts: list[str] = []
    while part := "".join(islice(lines, _TASKS_PER_PART)):
        path = manifest_part(manifest.run, len(parts))
        store.put(path, part.encode())
        parts.append(path)
    manifest = replace(
        manifest, parts=parts, clock=(wall() if wall else time_at(store), monotonic())
    )
    store.put(manifest_head(manifest.run), manifest.to_json().encode())
    return manifest


def planned_failures(
    plan: Plan,
    group: EntityGroup,
    gathered: Gathered,
    run_id: str,
    clock: Callable[[], float],
) -> list[Receipt]:
    """A receipt for each pair that the plan fails, with a message that says what to mend."""
    return [
        Receipt(
            run=run_id,
            entity=entity,
            asset=group.keys[name],
            code_version=group.code_versions[name],
            finished_at=round(clock(), 6),
            failure=_failure(group, gathered, name, entity, reason),
        )
        for name, entity, reason in plan.pairs(Decision.FAIL)
    ]


def refusals(plan: Plan) -> dict[str, str]:
    """Entity ids that were refused, each with the reason and what is wrong with it."""
    return {
        entity: f"{reason}: {id_problem(entity) or _TAKEN_DOWN}"
        for _, entity, reason in plan.pairs(Decision.REFUSE)
    }


def _named(chain: Chain, selected: Sequence[str]) -> list[str]:
    """What is computed, and the assets of the group that are loaded for it, upstream first."""
    computed = chain.computed(selected)
    needed = {*computed, *(dep for name in computed for dep in chain.inputs(name).assets)}
    return [name for name in chain.order if name in needed]


def _version(gathered: Gathered, dep: str, entity: str) -> str | None:
    if dep in gathered.knowledge.shared_versions:
        return gathered.knowledge.shared_versions[dep]
    record = gathered.knowledge.records.get(dep, {}).get(entity)
    return record.data_version or "unknown" if record and record.materialized else None


def _failure(
    group: EntityGroup, gathered: Gathered, name: str, entity: str, reason: str
) -> Failure:
    inputs = group.chain.inputs(name)
    if reason == UPSTREAM_FAILED:
        return Failure.blocked_by("what it depends on")
    for pattern in inputs.sources:
        listing = gathered.listings[pattern]
        if entity in listing.ambiguous:
            paths = ", ".join(listing.ambiguous[entity])
            return Failure(reason, f"several files match '{pattern}': {paths}; keep one of them")
        if entity not in listing.matches:
            return Failure(
                reason, f"no file matches '{pattern}' in {listing.location}; put it there"
            )
    for dep in (*inputs.assets, *inputs.outside):
        is_loaded = dep not in gathered.selected and dep not in gathered.knowledge.shared_versions
        if is_loaded and _version(gathered, dep, entity) is None:
            if entity in gathered.outside.get(dep, {}):
                return Failure(
                    reason,
                    f"'{dep}' cannot be loaded: its record has no absolute uri and codec, as if"
                    " reported by hand; compute it again with force",
                )
            return Failure(reason, f"'{dep}' has no output yet; compute it first")
    return Failure(reason, "an input is missing")
