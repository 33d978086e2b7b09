"""What the workers of a project need: its code, libraries, and all that they import by name."""

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from klio_dagster.cli.project import Project
from klio_dagster.core.manifest import PartSpec, part_specs
from klio_dagster.engine.probe import TRANSFORMS
from klio_dagster.errors import ConfigError
from klio_dagster.image.code import code_of
from klio_dagster.image.context import MACHINE, library_wheel, project_wheel
from klio_dagster.image.pins import NEEDS, OURS, pinned
from klio_dagster.image.wheel import Wheel
from klio_dagster.observe.doctor.children import ChildFailedError, child

_IMPORT_S = 120.0
_WITHOUT_DAGSTER = (
    "sys.modules['dagster'] = None; "  # whoever imports it is told that it is not there
)
_PROBE = "from klio_dagster.engine import probe; probe.main(sys.argv[1:])"


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """What the workers of a project need.

    Args:
        pins: name to version of all libraries.
        imports: `module:name` of all that workers import.
        library: this library's wheel.
        code: the project's.
    """

    pins: Mapping[str, str]
    imports: Sequence[str]
    library: Wheel
    code: Wheel


def needed_by(project: Project, included: Sequence[Path], extra: Sequence[str]) -> Needed:
    """What the workers of a project need.

    Args:
        project: all of it.
        included: files and folders that the code needs beside it.
        extra: requirements that no import names.

    Raises:
        ConfigError: something is not installed here, is not found, or loads Dagster.
    """
    imports = sorted({each for group in _parts(project) for part in group for each in _named(part)})
    code = code_of({each.partition(":")[0] for each in imports}, project.folder, included)
    asked = [*code.distributions, *_declared(project.folder)]
    pins = pinned([*NEEDS, *asked], extra, machine=MACHINE)
    _check_imports(imports, has_dagster="dagster" in pins)
    direct = [canonicalize_name(Requirement(each).name) for each in (*asked, *extra)]
    return Needed(
        pins=pins,
        imports=imports,
        library=library_wheel(pins),
        code=project_wheel(code, direct, pins),
    )


def _parts(project: Project) -> Iterator[list[PartSpec]]:
    """What manifests say of every asset and step."""
    for each in project.groups:
        chain = each.group.chain
        names = chain.computed([asset.name for asset in chain.assets])
        versions = dict(each.group.code_versions)
        yield part_specs(chain, names, {name: versions.get(name, "") for name in names}, {})


def _named(part: PartSpec) -> Iterator[str]:
    """`module:name` of everything that a worker imports for it."""
    yield part.transform
    yield from part.transient or ()
    yield from (str(check["function"]) for check in part.checks)
    if part.codec and part.codec.get("schema"):
        yield str(part.codec["schema"])


def _declared(folder: Path) -> list[str]:
    """What the project's pyproject.toml says it needs, but for this library and Dagster.

    Raises:
        ConfigError: it is not TOML, or names something that is no requirement.
    """
    path = folder / "pyproject.toml"
    if not path.is_file():
        return []
    try:
        table = tomllib.loads(path.read_text("utf-8")).get("project", {})
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(str(error), where=str(path), fix="mend it") from error
    if canonicalize_name(str(table.get("name", ""))) == OURS:
        return []  # the library's own: its needs are known better
    try:
        wanted = [Requirement(each) for each in table.get("dependencies", ())]
    except InvalidRequirement as error:
        raise ConfigError(
            f"dependencies: {str(error).splitlines()[0]}", where=str(path), fix="mend it"
        ) from error
    return [str(each) for each in wanted if each.marker is None or each.marker.evaluate()]


def _check_imports(imports: Sequence[str], *, has_dagster: bool) -> None:
    """See that everything can be imported as workers do it, where no Dagster is.

    Raises:
        ConfigError: something cannot.
    """
    without = "" if has_dagster else _WITHOUT_DAGSTER
    try:
        said = child(["-c", f"import sys; {without}{_PROBE}", TRANSFORMS, *imports], _IMPORT_S)
    except ChildFailedError as error:
        raise ConfigError(str(error), where="imports of the transforms", fix="mend them") from error
    refused: dict[str, str] = json.loads(said.splitlines()[-1])
    for reference, why in refused.items():
        if "import of dagster" in why:
            raise ConfigError(
                "importing it loads Dagster, which workers do not have",
                where=f"'{reference}'",
                fix="move it to a module without, or call with --extra-requirement dagster",
            )
        raise ConfigError(why, where=f"'{reference}'", fix="mend the module that it names")
