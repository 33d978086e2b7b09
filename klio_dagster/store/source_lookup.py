"""The sources of a few entities, without listing the folder of a whole catalogue."""

import os
import re
import stat
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from klio_dagster.core.ids import escape, id_problem
from klio_dagster.errors import ConfigError, ObjectNotFoundError
from klio_dagster.store.failures import store_error
from klio_dagster.store.layout import OWN_FOLDER
from klio_dagster.store.local import is_leftover
from klio_dagster.store.objects import ObjectStore, check_path
from klio_dagster.store.sources import SourceListing, SourceObject, SourcePattern, location_of

FEW = 100
"""Up to so many entities, asking for each is faster than listing a thousand objects."""
_AT_ONCE = 16
_MOST_NAME_BYTES = 255
_PLACE = re.compile(r"\{entity(?::path|:escaped)?\}")
# Elsewhere a file system may answer for a name that differs in case or normalisation.
_IS_EXACT_SYSTEM = sys.platform == "linux"


def can_look_up(pattern: SourcePattern, store: ObjectStore) -> bool:
    """Whether the pattern says of each entity where its source would lie, and nowhere else."""
    is_local = store.local_path("") is not None if not pattern.root else "://" not in pattern.root
    return "*" not in pattern.text and (_IS_EXACT_SYSTEM or not is_local)


def look_up_sources(
    pattern: SourcePattern, store: ObjectStore, entities: Sequence[str]
) -> SourceListing:
    """What the listing of the pattern's folder would say of these entities, and only of them.

    An id is joined into a path here, so it is only asked for if the pattern reads the same id out
    of that path again.

    Args:
        pattern: one that `can_look_up`.
        store: where the pattern is looked for unless it is a URL.
        entities: ids, checked or not.

    Raises:
        ConfigError: the store does not let us read.
        StoreUnavailableError: it did not answer.
    """
    listed = store.elsewhere(pattern.root) if pattern.root else store
    paths = {e: path for e in entities if (path := _path(pattern, e)) is not None}
    root = listed.local_path("")

    def found(entity: str) -> SourceObject | None:
        if root is not None and not _is_file(root, paths[entity], listed):
            return None
        with suppress(ObjectNotFoundError):
            info = listed.head(paths[entity])
            location = location_of(pattern, listed, info.path)
            return SourceObject(location, info.version, info.size, info.modified)
        return None

    if root is not None or len(paths) == 1:
        sources = list(map(found, paths))
    else:
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            sources = list(threads.map(found, paths))
    matches = {e: source for e, source in zip(paths, sources, strict=True) if source is not None}
    return SourceListing(listed.uri(pattern.prefix), matches, {}, {})


def _is_file(root: Path, path: str, store: ObjectStore) -> bool:
    """Whether there is such a file; from outside of a closed folder nobody can tell.

    Raises:
        ConfigError: a folder above it may not be entered.
    """
    try:
        return stat.S_ISREG(os.stat(root / path).st_mode)
    except PermissionError as error:
        raise store_error(error, store.uri(path)) from error
    except OSError:  # also a file where a folder would have to be
        return False


def _path(pattern: SourcePattern, entity: str) -> str | None:
    """Where the source of an entity lies below what is listed; None if it can have none."""
    if id_problem(entity) is not None:
        return None
    text = pattern.text
    if pattern.root:
        rest = text.rpartition("://")[2]
        root = pattern.root.rpartition("://")[2].rstrip("/")
        text = rest.removeprefix(root).lstrip("/")
    name = escape(entity) if pattern.is_escaped else entity
    path = _PLACE.sub(lambda _: name, text)
    try:
        check_path(path)
    except ConfigError:
        return None
    parts = path.split("/")
    if parts[0] == OWN_FOLDER or is_leftover(parts[-1]):
        return None
    if any(len(part.encode()) > _MOST_NAME_BYTES for part in parts):
        return None  # a file system answers with an error of its own
    return path if pattern.entity_at(path) == entity else None
