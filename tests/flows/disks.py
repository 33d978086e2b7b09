"""Disks that fill up or are closed to writers, for whole runs; small ones need to be mounted."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_PLENTY_KB = 64 * 1024


class SmallDisk:
    """A file system of its own on a folder, with plenty of room at first.

    Args:
        folder: where it is mounted.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def leave(self, kilobytes: int) -> None:
        """Leave so much room."""
        status = os.statvfs(self._folder)
        used = (status.f_blocks - status.f_bfree) * status.f_frsize // 1024
        self._resize(used + kilobytes)

    def grow(self) -> None:
        """Give it plenty of room again."""
        self._resize(_PLENTY_KB)

    def _resize(self, kilobytes: int) -> None:
        _mount("-o", f"remount,size={kilobytes}k", str(self._folder))


@contextmanager
def small_disk(folder: Path) -> Iterator[SmallDisk]:
    """A small disk while the block runs; skips the test where nobody lets us mount one."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        _mount("-t", "tmpfs", "-o", f"size={_PLENTY_KB}k", "tmpfs", str(folder))
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a small disk takes root")
    try:
        yield SmallDisk(folder)
    finally:
        _unmount(folder)


@contextmanager
def closed_to_writers(folder: Path) -> Iterator[None]:
    """Nobody can make or change a file below the folder while the block runs.

    Files that are open already stay writable. Root, who may write anywhere, needs a mount; others
    are bound by the permissions of the folders.
    """
    if os.geteuid() == 0:
        _mount("--bind", str(folder), str(folder))
        try:
            _mount("-o", "remount,bind,ro", str(folder))
            yield
        finally:
            _unmount(folder)
        return
    modes = {below: below.stat().st_mode for below in (folder, *folder.rglob("*"))}
    folders = [below for below in modes if below.is_dir()]
    for below in folders:
        below.chmod(0o555)
    try:
        yield
    finally:
        for below in folders:
            below.chmod(modes[below])


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True, capture_output=True)


def _unmount(folder: Path) -> None:
    # Lazily: what a test that failed left running may still be in there.
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
