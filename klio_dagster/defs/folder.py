"""The folder of a project: where its workspace.yaml lies."""

from pathlib import Path

_MARKS = ("workspace.yaml", "pyproject.toml")


def project_folder(start: Path) -> Path:
    """The nearest folder, from `start` upwards, that holds a workspace.yaml or a pyproject.toml.

    `start` itself when there is none.
    """
    for folder in (start, *start.parents):
        if any((folder / mark).is_file() for mark in _MARKS):
            return folder
    return start
