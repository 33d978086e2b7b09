"""`klio entities remove` and `restore`: a takedown, and how it is lifted."""

import time
from collections.abc import Sequence
from typing import Any, TextIO

import click
import dagster as dg

from klio_dagster.cli.asking import ids_option, named_ids
from klio_dagster.cli.output import apply_option, common, example, print_json, table, warn
from klio_dagster.cli.project import Project, open_project
from klio_dagster.codecs.registry import suffixes
from klio_dagster.core.ids import id_problem, printable
from klio_dagster.core.wording import did_you_mean
from klio_dagster.defs.partitions import registered
from klio_dagster.errors import ConfigError
from klio_dagster.ledger.adopted import check_store_is_ours
from klio_dagster.ledger.takedown import Place, Takedown, Traces, take_down, traces
from klio_dagster.store.layout import output_path
from klio_dagster.store.removed import removed_entities
from klio_dagster.store.removed import restore as lift

_SHOWN_IDS = 3
_COUNTS = ("outputs", "output_bytes", "lines", "messages", "events")


@click.command(
    epilog=example(
        "klio entities remove track-1",
        "klio entities remove track-1 --outputs --apply",
        "klio entities remove --from-file ids.txt --json",
    )
)
@click.argument("ids", nargs=-1)
@ids_option
@click.option("--outputs", is_flag=True, help="The outputs of every entity asset go too.")
@apply_option
@common
def remove(
    ids: tuple[str, ...], from_file: TextIO | None, outputs: bool, apply: bool, as_json: bool
) -> None:
    """Take entities down: what names them goes, and no run computes them again.

    Says what would go and changes nothing, unless --apply is given. Receipts, lists of runs, kept
    messages, Dagster's records and the partition go, and with --outputs the outputs; sources are
    yours and stay. A tombstone refuses later requests until `klio entities restore`. Works on every
    group of the project. Killed in between, it is completed by calling it again.
    """
    entities = named_ids(ids, from_file)
    with open_project(None) as project:
        for store in project.stores:
            check_store_is_ours(store, project.instance)
        _check_known(project, entities)
        takedown = _takedown(project, entities, outputs=outputs)
        found = traces(takedown, project.ledger, project.instance)
        if apply:
            take_down(takedown, project.ledger, project.instance, at=time.time())
    said = _to_json(entities, found, is_applied=apply)
    if as_json:
        print_json(said)
        return
    rows = [[name, said[name]] for name in _COUNTS]
    rows += [[f"in catalogue '{name}'", number] for name, number in found.partitions.items()]
    shown = ", ".join(printable(entity) for entity in entities[:_SHOWN_IDS])
    more = f" and {len(entities) - _SHOWN_IDS:,} more" if len(entities) > _SHOWN_IDS else ""
    click.echo(table(rows, [f"{shown}{more}", "removed" if apply else "to remove"]))
    if apply:
        click.echo("\nremoved; no run computes them again")
        return
    if found.computing is not None:
        run = found.computing.claim.run_id
        warn(f"run {run} is computing one of them: it has to end first")
    click.echo("\nnothing is changed: add --apply to do it")


@click.command(epilog=example("klio entities restore track-1"))
@click.argument("ids", nargs=-1)
@ids_option
@common
def restore(ids: tuple[str, ...], from_file: TextIO | None, as_json: bool) -> None:
    """Lift the removal of entities: they may be added and computed again.

    What was removed does not come back by itself: add or sync them, and run.
    """
    entities = named_ids(ids, from_file)
    with open_project(None) as project:
        lifted = {entity for store in project.stores for entity in lift(store, entities)}
    restored = [entity for entity in entities if entity in lifted]
    if as_json:
        print_json({"restored": restored, "not_removed": len(entities) - len(restored)})
        return
    click.echo(
        f"{len(restored):,} may be added again, {len(entities) - len(restored):,} were not removed"
    )


def _to_json(entities: Sequence[str], found: Traces, *, is_applied: bool) -> dict[str, Any]:
    return {
        "applied": is_applied,
        "entities": list(entities),
        "outputs": len(found.outputs),
        "output_bytes": sum(found.outputs.values()),
        "lines": sum(found.lines.values()),
        "messages": sum(found.messages.values()),
        "events": sum(found.events.values()),
        "partitions": dict(found.partitions),
        "by_asset": dict(found.events),
        "files": dict(found.lines),
        "message_files": dict(found.messages),
        "output_files": dict(found.outputs),
        "computing": found.computing.claim.run_id if found.computing else None,
    }


def _takedown(project: Project, entities: Sequence[str], *, outputs: bool) -> Takedown:
    """All places of the project that may name the entities."""
    places: dict[str, Place] = {}
    for each in project.groups:
        before = places.get(each.store.url)
        paths = [
            output_path(key, entity, suffix)
            for key in each.keys
            for entity in entities
            for suffix in suffixes()  # also those of codecs the asset had before
        ]
        places[each.store.url] = Place(
            store=each.store,
            keys=[*(before.keys if before else ()), *each.keys],
            outputs=[*(before.outputs if before else ()), *(paths if outputs else ())],
        )
    return Takedown(
        entities=entities, places=list(places.values()), catalogues=_catalogues(project)
    )


def _catalogues(project: Project) -> dict[str, list[str]]:
    """Each catalogue to all assets with its partitions: sources and assets of others, too."""
    catalogues = {each.group.partitions: dict[str, None]() for each in project.groups}
    for each in project.groups:
        graph = each.location.repository.asset_graph
        for key in graph.get_all_asset_keys():
            partitions = graph.get(key).partitions_def
            if isinstance(partitions, dg.DynamicPartitionsDefinition):
                catalogues.get(partitions.name or "", {})[key.to_user_string()] = None
    return {name: list(keys) for name, keys in catalogues.items()}


def _check_known(project: Project, entities: Sequence[str]) -> None:
    """Refuse ids that are nowhere: probably they are misspelt.

    Raises:
        ConfigError: one is in no catalogue and has not been removed either.
    """
    known = {e for name in _catalogues(project) for e in registered(project.instance, name)}
    for store in project.stores:
        known |= removed_entities(store)
    unknown = [e for e in entities if e not in known or id_problem(e)]
    if unknown:
        shown = ", ".join(printable(entity) for entity in unknown[:_SHOWN_IDS])
        more = f" and {len(unknown) - _SHOWN_IDS} more" if len(unknown) > _SHOWN_IDS else ""
        close = did_you_mean(unknown[0], known) if len(unknown) == 1 else None
        raise ConfigError(
            f"{shown}{more} not in it",
            where="catalogue",
            fix=" ".join(filter(None, (close, "`klio entities list` prints the ids"))),
        )
