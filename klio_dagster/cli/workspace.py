"""Where a project lies, and which definitions it names."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from klio_dagster.defs.folder import PYPROJECT, WORKSPACE, dagster_table, project_folder
from klio_dagster.errors import ConfigError


def find_folder(start: Path) -> Path:
    """The nearest folder upwards with a workspace.yaml, or else one with `[tool.dg]`.

    Raises:
        ConfigError: there is none.
    """
    folder = project_folder(start)
    if folder is not None:
        return folder
    raise ConfigError(
        f"no {WORKSPACE} and no {PYPROJECT} with [tool.dg] here or above",
        where=f"folder '{start}'",
        fix="go to the project's folder",
    )


def _no_yaml(error: yaml.YAMLError, path: Path) -> ConfigError:
    """The error of a file that is no YAML, with the line where that is known."""
    mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    if mark is None:
        return ConfigError(" ".join(str(error).split()), where=str(path), fix="mend it")
    said = getattr(error, "problem", None) or "it cannot be read"
    return ConfigError(f"it is no YAML ({said})", where=f"{path}:{mark.line + 1}", fix="mend it")


def workspace_of(folder: Path) -> Mapping[str, Any]:
    """The content of workspace.yaml, or what pyproject.toml says in its form.

    Raises:
        ConfigError: it is malformed or says nothing.
    """
    path = folder / WORKSPACE
    if path.is_file():
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            refused = _no_yaml(error, path)
            raise refused from error
        if isinstance(content, dict):
            return content
        raise ConfigError("it has no load_from", where=str(path), fix="name your definitions in it")
    table = dagster_table(folder)
    target = {
        "module_name": table.get("code_location_target_module")
        or table.get("module_name")
        or f"{table.get('root_module', '')}.definitions",
        "location_name": table.get("code_location_name") or folder.name,
        "working_directory": str(folder),
    }
    return {"load_from": [{"python_module": target}]}
