"""Files a worker keeps while it computes an entity: recordings from buckets, for who opens them.

<temporary folder>/klio-<user>/worker-<process id>/<name>/source<suffix>

They go with their entity. Those of a worker that was killed its supervisor removes, or, if that was
killed as well, the guardian; those of a machine that failed the next worker that keeps any.
"""

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from uuid import uuid4

from klio_dagster.errors import ConfigError, EntityError

_SUFFIX = re.compile(r"\.[A-Za-z0-9]{1,10}")
_WORKER = "worker-"
_LEFT_FREE = 256 << 20  # bytes of the disk that stay free for others
_FORGOTTEN_AFTER_S = 86_400.0  # where process ids tell nothing: a folder that containers share


def scratch_root() -> Path:
    """The folder of all workers of this user; perhaps it is not there."""
    return Path(tempfile.gettempdir()) / f"klio-{os.getuid()}"


def keep_file(pieces: Iterator[bytes], size: int, *, name: str, where: str) -> Path:
    """A file of this process with what comes.

    Args:
        pieces: its bytes.
        size: how many they are said to be.
        name: of the object, for the suffix.
        where: the object, for messages.

    Raises:
        EntityError: the disk has no room for it.
        ConfigError: the folder belongs to somebody else.
        StoreUnavailableError: the store did not answer; nothing is left.
    """
    folder = _own_folder()
    free = shutil.disk_usage(folder).free
    if size > free - _LEFT_FREE:
        raise EntityError(
            f"it has {size:,} bytes, and {folder} has {free:,} left",
            where=where,
            fix="free some space there, or name another folder in TMPDIR",
        )
    suffix = PurePosixPath(name).suffix
    kept = folder / uuid4().hex[:8] / f"source{suffix if _SUFFIX.fullmatch(suffix) else ''}"
    kept.parent.mkdir()
    try:
        with kept.open("xb") as file:
            for piece in pieces:
                file.write(piece)
    except BaseException:
        shutil.rmtree(kept.parent, ignore_errors=True)
        raise
    kept.chmod(0o400)
    return kept


def forget_file(path: Path) -> None:
    """Remove a file that this process has kept; any other is left alone."""
    if path.is_relative_to(_own_path()):
        shutil.rmtree(path.parent, ignore_errors=True)


def forget_worker(pid: int) -> None:
    """Remove what a worker that is gone has left."""
    shutil.rmtree(scratch_root() / f"{_WORKER}{pid}", ignore_errors=True)


def _own_folder() -> Path:
    """That of this process, made when it is needed first.

    Raises:
        ConfigError: the folder above belongs to somebody else.
    """
    root, folder = scratch_root(), _own_path()
    with suppress(FileExistsError):
        root.mkdir(mode=0o700)
    # Each time: before it is ours, nothing below it is.
    if root.is_symlink() or not root.is_dir() or root.stat().st_uid != os.getuid():
        raise ConfigError(
            "it belongs to somebody else, or is no folder",
            where=str(root),
            fix="remove it, or name another folder in TMPDIR",
        )
    if not folder.is_dir():
        _sweep(root)
        folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _own_path() -> Path:
    return scratch_root() / f"{_WORKER}{os.getpid()}"


def _sweep(root: Path) -> None:
    """Remove what workers left whose machine failed."""
    for folder in root.glob(f"{_WORKER}*"):
        with suppress(OSError, ValueError):
            is_old = folder.stat().st_mtime < time.time() - _FORGOTTEN_AFTER_S
            if is_old and not Path(f"/proc/{int(folder.name.removeprefix(_WORKER))}").exists():
                shutil.rmtree(folder, ignore_errors=True)
