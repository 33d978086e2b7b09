"""The folder of a project: where its workspace.yaml lies."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from klio_dagster.errors import ConfigError

WORKSPACE = "workspace.yaml"
PYPROJECT = "pyproject.toml"


def project_folder(start: Path) -> Path | None:
    """The nearest folder upwards with a workspace.yaml, or else one with `[tool.dg]`, or None.

    Raises:
        ConfigError: a pyproject.toml on the way is not TOML.
    """
    upwards = [start, *start.parents]
    for folder in upwards:
        if (folder / WORKSPACE).is_file():
            return folder
    return next((folder for folder in upwards if dagster_table(folder)), None)


def dagster_table(folder: Path) -> Mapping[str, Any]:
    """`[tool.dg.project]` or `[tool.dagster]`; empty if there is neither.

    Raises:
        ConfigError: the file is not TOML.
    """
    path = folder / PYPROJECT
    if not path.is_file():
        return {}
    try:
        tool = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {})
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(str(error), where=str(path), fix="mend it") from error
    return tool.get("dg", {}).get("project") or tool.get("dagster") or {}
