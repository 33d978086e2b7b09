"""`klio explain ENTITY`: what a run would do with one entity, with the facts behind it."""

import shlex
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import click

from klio_dagster.cli.asking import Asked, planned
from klio_dagster.cli.output import (
    common,
    example,
    print_json,
    select_option,
)
from klio_dagster.cli.project import Project, ProjectGroup, open_project
from klio_dagster.cli.waits import waits_of
from klio_dagster.core.ids import id_problem, printable
from klio_dagster.core.plan import Decision, Verdict
from klio_dagster.core.record import Record
from klio_dagster.defs.knowledge import Gathered
from klio_dagster.defs.tasks import planned_failures
from klio_dagster.observe.flags import flagged_of
from klio_dagster.store.layout import output_path

_NEVER = Record(materialized=False, failed=False)


@click.command(epilog=example("klio explain track-1", "klio explain track-1 --json"))
@click.argument("entity")
@click.option("--force", is_flag=True, help="As if the run was forced.")
@select_option
@common
def explain(entity: str, force: bool, select: str | None, as_json: bool) -> None:
    """Show what a run would do with one entity, and why. Nothing is written."""
    with open_project(select) as project:
        assets = [
            asset
            for group in project.groups
            for asset in explained(project, group, entity, force=force)
        ]
    if as_json:
        print_json({"entity": entity, "assets": {asset.pop("asset"): asset for asset in assets}})
        return
    click.echo(click.style(printable(entity), bold=True))
    for asset in assets:
        decided = f"{asset['decision']}, {asset['reason']}"
        click.echo(f"\n{click.style(asset['asset'], bold=True)}: {decided}")
        for fact in asset["facts"]:
            click.echo(f"  {fact}")
        if asset["output"]:
            click.echo(f"  output: {asset['output']}")


def explained(
    project: Project, group: ProjectGroup, entity: str, *, force: bool
) -> Iterator[dict[str, Any]]:
    """Each asset of a group: what a run would do with an entity, and the facts behind it.

    Raises:
        ConfigError: the entity is not in the catalogue, or the store cannot be read.
        StoreUnavailableError: the store did not answer.
    """
    gathered, plan = planned(project, group, Asked(named=[entity], force=force))
    errors = {pair.asset: pair for pair in project.ledger.failures(group.keys, [entity])}
    flagged = flagged_of(group.group, group.selected, project.ledger, [entity])
    for name in plan.assets:
        key = group.group.keys[name]
        verdict = plan.verdicts[name][entity]
        known = gathered.knowledge.records.get(name, {}).get(entity, _NEVER)
        facts = list(_facts(group, gathered, name, entity, verdict))
        if known.failed and key in errors:
            failed = errors[key]
            facts.append(
                f"last attempt failed {_when(known)} in run {failed.run_id}: {failed.error}"
            )
        facts += waits_of(group, name, entity)
        facts += [f"flagged: {pair}" for pair in flagged if pair.asset == key]
        stored = project.ledger.latest_metadata(key, [entity]) if known.materialized else {}
        if known.materialized and not group.store.exists(_output_path(group, name, entity)):
            facts.append(
                "its output is not in the store: compute it again with"
                f" `klio run {shlex.quote(entity)} --select {key} --force`"
            )
        yield {
            "asset": key,
            "decision": verdict.decision.value,
            "reason": verdict.reason,
            "facts": facts,
            "output": stored.get(entity, {}).get("uri"),
        }


def _output_path(group: ProjectGroup, name: str, entity: str) -> str:
    (suffix,) = (a.output.suffix for a in group.group.chain.assets if a.name == name)
    return output_path(group.group.keys[name], entity, suffix)


def _facts(
    group: ProjectGroup,
    gathered: Gathered,
    name: str,
    entity: str,
    verdict: Verdict,
) -> Iterator[str]:
    """What the decision rests on, in words."""
    known = gathered.knowledge.records.get(name, {}).get(entity, _NEVER)
    match verdict.reason:
        case "removed":
            yield "it was taken down; `klio entities restore` lifts that"
        case "invalid_id":
            yield f"the id cannot be used: {id_problem(entity)}"
        case "in_flight":
            for state in gathered.in_flight.claims:
                yield f"run {state.claim.run_id} is computing it ({state.why})"
        case "upstream_waits" | "upstream_failed" | "upstream":
            yield from _upstream(group, gathered, name, entity)
        case "input_missing":
            plan = gathered.plan(group.group)
            for receipt in planned_failures(plan, group.group, gathered, "", time.time):
                if receipt.asset == group.group.keys[name] and receipt.failure:
                    yield receipt.failure.message
        case "forced":
            yield "it is up to date or not: --force computes it"
        case "missing":
            yield "it has no output yet"
        case "code_changed":
            now = gathered.knowledge.code_versions[name]
            yield f"its code was {known.code_version} and is {now}"
        case "input_changed":
            yield from _changed_inputs(group, gathered, name, entity, known)
        case "up_to_date":
            yield f"code {known.code_version} and all inputs are those it was made from"
        case _:
            pass
    if known.materialized and not known.failed:
        yield f"computed {_when(known)}, data version {known.data_version}"


def _upstream(group: ProjectGroup, gathered: Gathered, name: str, entity: str) -> Iterator[str]:
    """What the plan does with the assets this one is made from."""
    verdicts = gathered.plan(group.group).verdicts
    for dep in group.group.chain.inputs(name).assets:
        verdict = verdicts.get(dep, {}).get(entity)
        if verdict is not None and verdict.decision is not Decision.SKIP:
            yield f"it is made from '{dep}': {verdict.decision.value}, {verdict.reason}"


def _changed_inputs(
    group: ProjectGroup, gathered: Gathered, name: str, entity: str, known: Record
) -> Iterator[str]:
    inputs = group.group.chain.inputs(name)
    knowledge = gathered.knowledge
    now: dict[str, str | None] = {
        pattern: knowledge.sources.get(pattern, {}).get(entity) for pattern in inputs.sources
    }
    for dep in (*inputs.assets, *inputs.outside):
        if dep in knowledge.shared_versions:
            now[dep] = knowledge.shared_versions[dep]
        else:
            now[dep] = knowledge.records.get(dep, {}).get(entity, _NEVER).data_version
    for dep, version in now.items():
        before = known.input_versions.get(group.group.keys.get(dep, dep))
        if version is not None and before != version:
            yield f"input '{dep}' was {before or 'not an input'} and is {version}"


def _when(known: Record) -> str:
    if not known.timestamp:
        return "before"
    return datetime.fromtimestamp(known.timestamp).astimezone().strftime("on %Y-%m-%d at %H:%M:%S")
