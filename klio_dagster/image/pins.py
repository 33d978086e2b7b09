"""The libraries of a worker, pinned to what is installed here."""

from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.markers import default_environment
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import NormalizedName, canonicalize_name

from klio_dagster.errors import ConfigError

OURS = canonicalize_name("klio-dagster")

NEEDS = (
    "apache-beam",
    "grpcio",
    "librosa",
    "numpy",
    "obstore",
    "pandas",
    "pandera",
    "protobuf",
    "pyarrow",
    "scipy",
    "soundfile",
    "soxr",
)
"""What the modules import that run in workers; a test looks whether one is missing.

Without Beam's extra `gcp`, which only the submitting side needs: Beam's own image has it anyway,
and elsewhere it is 81 packages and 170 MB. Without Dagster, which workers never load.
"""

_BY_HAND = "--extra-requirement"


def pinned(wanted: Iterable[str], explicit: Iterable[str] = (), *, machine: str) -> dict[str, str]:
    """What has to be installed, with everything that it needs in turn.

    Dagster's distributions and what only they need are left out, unless named explicitly.

    Args:
        wanted: requirements of the library and of the project.
        explicit: requirements that a person named.
        machine: where the workers run, `x86_64`.

    Raises:
        ConfigError: one is no requirement, or is not installed here.
    """
    environment = {**_environment(), "platform_machine": machine}
    named = [(_requirement(text), _BY_HAND) for text in explicit]
    for requirement, by in named:
        _check_version(requirement, _installed(requirement, by).version)
    keep = {canonicalize_name(each.name) for each, _ in named}
    todo = [*named, *((_requirement(text), "the project") for text in wanted)]
    found: dict[str, str] = {}
    seen: set[tuple[NormalizedName, str]] = set()
    while todo:
        requirement, by = todo.pop()
        name = canonicalize_name(requirement.name)
        if is_dagster(name) and name not in keep and not is_dagster(by):
            continue
        for extra in ("", *requirement.extras):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            installed = _installed(requirement, by)
            found[name] = installed.version
            for text in installed.requires or ():
                further = Requirement(text)
                marker = further.marker
                if marker is None or marker.evaluate({**environment, "extra": extra}):
                    todo.append((further, name))
    return dict(sorted(found.items()))


def is_dagster(name: str) -> bool:
    """A distribution of Dagster, or this one, which the workers get as a wheel of its own."""
    return name == OURS or name == "dagster" or name.startswith("dagster-")


def _environment() -> dict[str, str]:
    """This interpreter's markers, on Linux."""
    told = {name: str(value) for name, value in default_environment().items()}
    return {**told, "sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"}


def _requirement(text: str) -> Requirement:
    try:
        return Requirement(text)
    except InvalidRequirement as error:
        raise ConfigError(
            f"it is no requirement ({str(error).splitlines()[0]})",
            where=f"'{text}'",
            fix="write the name of a package, or name==version",
        ) from error


def _installed(requirement: Requirement, by: str) -> Distribution:
    """The distribution of a requirement.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        return distribution(requirement.name)
    except PackageNotFoundError:
        raise ConfigError(
            "it is not installed here, so its version is not known",
            where=f"requirement '{requirement}' of {by}",
            fix=f"install {requirement.name}, then call again",
        ) from None


def _check_version(requirement: Requirement, version: str) -> None:
    """See that what a person asks for is what is installed: nothing else was tested.

    Raises:
        ConfigError: another version is.
    """
    if not requirement.specifier.contains(version, prereleases=True):
        raise ConfigError(
            f"{version} is installed here",
            where=f"requirement '{requirement}' of {_BY_HAND}",
            fix="install what is asked for, or ask for what is installed",
        )
