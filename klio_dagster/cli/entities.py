"""`klio entities`: the catalogue of entity ids."""

from collections.abc import Sequence
from typing import Any, TextIO

import click

from klio_dagster.cli.asking import Asked, ids_option, named_ids, planned
from klio_dagster.cli.output import (
    common,
    example,
    print_json,
    select_option,
    table,
    warn,
)
from klio_dagster.cli.project import Project, ProjectGroup, open_project
from klio_dagster.cli.remove import remove, restore
from klio_dagster.core.ids import id_problem, printable
from klio_dagster.core.state import ALL, STATES
from klio_dagster.core.wording import counted
from klio_dagster.defs.observations import observe_changes
from klio_dagster.defs.partitions import register, registered
from klio_dagster.defs.strays import told_of_unmatched
from klio_dagster.errors import ConfigError
from klio_dagster.store.removed import removed_entities
from klio_dagster.store.sources import SourcePattern, list_sources

_REMOVED = "it was taken down; `klio entities restore` lifts that"


@click.group(epilog=example("klio entities sync", "klio entities add track-1 track-2"))
def entities() -> None:
    """The catalogue: sync, add, list; take entities down."""


entities.add_command(remove)
entities.add_command(restore)


@entities.command(epilog=example("klio entities sync", "klio entities sync --select recording"))
@select_option
@common
def sync(select: str | None, as_json: bool) -> int:
    """Register every entity that has a source, and note which sources changed.

    Exit code 1 when ids were refused or several files match one.
    """
    with open_project(select) as project:
        asked = _patterns(project.groups)
        beside = [SourcePattern.parse(pattern) for _, pattern in asked]
        found = [_synced(project, group, pattern, beside) for group, pattern in asked]
    if as_json:
        print_json({"sources": found})
    else:
        counted = [[each["pattern"], each["found"], each["new"], each["changed"]] for each in found]
        click.echo(table(counted, ["source", "found", "new", "changed"]))
    for each in found:
        if not any(each[name] for name in ("found", "refused", "removed")):
            warn(f"nothing found: no file matches {each['pattern']} in {each['location']}")
        if each["unmatched"]:
            warn(told_of_unmatched(each["pattern"], each["unmatched"], each["unmatched_file"]))
        if each["gone"]:
            warn(_told_of_gone(each["pattern"], each["gone"]))
        for entity, problem in each["refused"].items():
            warn(f"refused: {each['pattern']}: {printable(entity)}: {problem}")
        for entity, paths in each["ambiguous"].items():
            warn(f"ambiguous: {printable(entity)}: {', '.join(paths)}; keep one of them")
        for entity in each["removed"]:
            warn(f"skipped: {each['pattern']}: {printable(entity)}: {_REMOVED}")
    return int(any(each["refused"] or each["ambiguous"] for each in found))


@entities.command(
    epilog=example("klio entities add track-1 track-2", "klio entities add --from-file ids.txt")
)
@click.argument("ids", nargs=-1)
@ids_option
@select_option
@common
def add(ids: tuple[str, ...], from_file: TextIO | None, select: str | None, as_json: bool) -> int:
    """Register entity ids.

    Exit code 1 when some break the rules for ids or were removed; the others are registered.
    """
    given = named_ids(ids, from_file)
    with open_project(select) as project:
        catalogue = project.catalogue()
        removed = {e for group in project.groups for e in removed_entities(group.store)}
        problems = {e: id_problem(e) or (_REMOVED if e in removed else None) for e in given}
        refused = {entity: problem for entity, problem in problems.items() if problem}
        good = [entity for entity in given if entity not in refused]
        new = register(project.instance, catalogue, good)
    if as_json:
        print_json({"catalogue": catalogue, "given": len(given), "new": new, "refused": refused})
    else:
        click.echo(f"{new:,} new in catalogue '{catalogue}', {len(good) - new:,} already there")
    for entity, problem in refused.items():
        warn(f"refused: {printable(entity)}: {problem}")
    return int(bool(refused))


@entities.command(
    "list", epilog=example("klio entities list", "klio entities list --entities failed --json")
)
@click.option(
    "--entities",
    "state",
    type=click.Choice([state for state in STATES if state != ALL]),
    help="Only those with an asset in this state.",
)
@select_option
@common
def list_(state: str | None, select: str | None, as_json: bool) -> None:
    """Print the entity ids, one a line."""
    with open_project(select) as project:
        if state is None:
            ids = list(registered(project.instance, project.catalogue()))
        else:
            asked = Asked(state=state)
            found = [planned(project, group, asked)[1].entities for group in project.groups]
            ids = list(dict.fromkeys(entity for each in found for entity in each))
    if as_json:
        print_json(ids)
    else:
        # As they are: registered ids hold nothing a terminal obeys, and `klio run` may read them.
        click.echo("".join(f"{entity}\n" for entity in ids), nl=False)


def _patterns(groups: Sequence[ProjectGroup]) -> list[tuple[ProjectGroup, str]]:
    """Each source pattern of the selected assets, with its group.

    Raises:
        ConfigError: there are none.
    """
    found = [
        (each, pattern)
        for each in groups
        for pattern in dict.fromkeys(
            pattern for name in each.selected for pattern in each.group.chain.inputs(name).sources
        )
    ]
    if not found:
        raise ConfigError(
            "none of the assets has a source", where="project", fix="use `klio entities add`"
        )
    return found


def _told_of_gone(pattern: str, gone: Sequence[str]) -> str:
    """The entities whose files are no longer there."""
    entities, one = counted(len(gone), "entity", "entities"), printable(gone[0])
    say = "" if len(gone) == 1 else ", say"
    return (
        f"gone: {pattern}: the file of {entities} is no longer there ({one}{say}); put it back, or"
        " take it down with `klio entities remove`"
    )


def _synced(
    project: Project, group: ProjectGroup, pattern: str, beside: Sequence[SourcePattern]
) -> dict[str, Any]:
    """Register and observe what one pattern finds."""
    listing = list_sources(SourcePattern.parse(pattern), group.store, beside)
    catalogue = group.group.partitions
    known = set(registered(project.instance, catalogue))
    removed = removed_entities(group.store)
    versions = {e: found.version for e, found in listing.matches.items() if e not in removed}
    ambiguous = {e: paths for e, paths in listing.ambiguous.items() if e not in removed}
    new = register(project.instance, catalogue, [*versions, *ambiguous])
    key, ledger = group.group.keys[pattern], project.ledger
    observe_changes(ledger, None, key, {e: v for e, v in versions.items() if e not in known})
    changed = observe_changes(ledger, None, key, {e: v for e, v in versions.items() if e in known})
    there = {*listing.matches, *listing.ambiguous, *removed}
    # Of an id that was added by hand there may never have been a file.
    missing = [entity for entity in known if entity not in there]
    return {
        "pattern": pattern,
        "location": listing.location,
        "catalogue": catalogue,
        "found": len(versions) + len(ambiguous),
        "new": new,
        "changed": changed,
        "refused": dict(listing.refused),
        "ambiguous": {entity: list(paths) for entity, paths in ambiguous.items()},
        "unmatched": listing.unmatched,
        "unmatched_file": listing.unmatched_file,
        "gone": sorted(ledger.observed_sources(key, missing)) if missing else [],
        "removed": sorted(removed.intersection({*listing.matches, *listing.ambiguous})),
    }
