"""Local folders: reading and listing without a detour, and leftovers of killed writes.

Writing is obstore's (a temporary file `name#1`, then a rename). Reading is not: obstore refuses to
list a folder as soon as one file in it has, say, a tab in its name, cannot open `take#1`, and needs
60 us for a small file where the operating system needs 11.
"""

import os
import re
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from klio_dagster.store.layout import OWN_FOLDER
from klio_dagster.store.objects import ObjectInfo

_LEFTOVER = re.compile(r"#\d+\Z")


def file_info(root: Path, path: str) -> ObjectInfo:
    """Size and time of a file.

    Raises:
        OSError: it cannot be looked at, or is a folder.
    """
    status = os.stat(root / path)
    if not os.path.isfile(root / path):
        raise FileNotFoundError(path)
    return _info(path, status)


def files_below(root: Path, folder: str) -> Iterator[ObjectInfo]:
    """All files in a folder and below it, except leftovers; nothing if there is no such folder.

    Links are followed, as whoever lays out a collection with links expects, but never in circles;
    broken ones are left out. Bytes of a name that are no UTF-8 arrive as surrogates.

    Raises:
        OSError: a folder cannot be read.
    """
    try:
        yield from _walk(str(root / folder), f"{folder}/" if folder else "", frozenset())
    except (FileNotFoundError, NotADirectoryError):
        return


def is_leftover(name: str) -> bool:
    """Whether a file of that name is what a killed write left."""
    return _LEFTOVER.search(name) is not None


def remove_file(root: Path, path: str) -> None:
    """Remove a file if it is there, and the folders that became empty: stores have no folders.

    Raises:
        OSError: it cannot be removed.
    """
    file = root / path
    try:
        file.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return
    for folder in file.parents:
        if folder == root:
            return
        try:
            folder.rmdir()
        except OSError:  # not empty, or somebody else was faster
            return


def clean_leftovers(
    root: Path, older_than_s: float, folders: Iterable[str] = (OWN_FOLDER,)
) -> list[str]:
    """Remove what killed writes left.

    Args:
        root: the store's folder.
        older_than_s: age in seconds from which nobody can still be writing.
        folders: those we write to, our own and the assets'; a user's `take#1` in a folder of
            sources is no leftover.

    Returns:
        The removed paths, relative to the root.

    Raises:
        OSError: a leftover cannot be removed.
    """
    removed: list[str] = []
    for found in leftovers(root, older_than_s, folders):
        os.unlink(root / found.path)
        removed.append(found.path)
    return removed


def leftovers(
    root: Path, older_than_s: float, folders: Iterable[str] = (OWN_FOLDER,)
) -> Iterator[ObjectInfo]:
    """What killed writes left, and `clean_leftovers` removes; its arguments."""
    oldest = time.time() - older_than_s
    for top in folders:
        for folder, _, names in os.walk(root / top):
            for name in names:
                file = os.path.join(folder, name)
                if not _LEFTOVER.search(name):
                    continue
                status = os.lstat(file)
                if status.st_mtime < oldest:
                    yield _info(os.path.relpath(file, root), status)


def _walk(folder: str, prefix: str, above: frozenset[tuple[int, int]]) -> Iterator[ObjectInfo]:
    status = os.stat(folder)
    here = (status.st_dev, status.st_ino)
    if here in above:
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            try:
                if entry.is_dir():
                    yield from _walk(entry.path, f"{prefix}{name}/", above | {here})
                elif entry.is_file() and not _LEFTOVER.search(name):
                    yield _info(prefix + name, entry.stat())
            except (FileNotFoundError, NotADirectoryError):  # removed since the folder was read
                continue


def _info(path: str, status: os.stat_result) -> ObjectInfo:
    return ObjectInfo(path, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))
