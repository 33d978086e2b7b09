"""The folder that an image is built from: Dockerfile, install.sh, requirements, wheels."""

import hashlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from importlib.resources import files
from pathlib import Path
from string import Template

import klio_dagster
from klio_dagster import image
from klio_dagster.engine.limits import worker_environment
from klio_dagster.errors import ConfigError
from klio_dagster.image.code import Code
from klio_dagster.image.fetch import is_for_this_python, named
from klio_dagster.image.pins import NEEDS, OURS
from klio_dagster.image.wheel import Wheel, files_below

MACHINE = "x86_64"
"""Of the workers; Docker calls it linux/amd64."""

PROJECT = "klio-project"
"""Name of the distribution that holds a project's code."""

_MADE_BY_US = "# Made by `klio image build`"
_BEAM_IMAGE = "apache/beam_python3.{minor}_sdk:{version}"
_NUMBA_CACHE = "/opt/klio/numba"
_UID = "10001"  # no user of Debian's or Beam's
_ENVIRONMENT = {
    "NUMBA_CACHE_DIR": _NUMBA_CACHE,
    "NUMBA_CPU_NAME": "generic",
    # Beam's boot makes a virtual environment for each worker, for what jobs stage; ours stage
    # nothing, and only root may write where it lies.
    "RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT": "1",
}
_SCRIPTS = {"klio-sdk-worker": "klio_dagster.engine.beam.sdk_worker:main"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What is written into the folder.

    Args:
        pins: name to version of all libraries.
        ours: the wheels of this library and of the project.
        imports: `module:name` of everything that workers import.
        base: another image to build on than Beam's.
    """

    pins: Mapping[str, str]
    ours: Sequence[Wheel]
    imports: Sequence[str]
    base: str | None = None

    def texts(self) -> dict[str, str]:
        """Name of each file to its text; equal for equal projects and environments."""
        own = [f"{wheel.name}=={wheel.pinned_version}" for wheel in self.ours]
        libraries = [f"{name}=={version}" for name, version in self.pins.items()]
        return {
            "Dockerfile": self._dockerfile(),
            "install.sh": files(image).joinpath("install.sh").read_text("utf-8"),
            "requirements.txt": "\n".join([*libraries, *own]) + "\n",
            "imports.txt": "".join(f"{each}\n" for each in self.imports),
        }

    def tag(self) -> str:
        """A name for the image that changes with what is in it."""
        digest = hashlib.sha256()
        for name, text in sorted(self.texts().items()):
            digest.update(f"{name}\0{text}\0".encode())
        return f"klio-worker:{digest.hexdigest()[:12]}"

    def write(self, folder: Path) -> Path:
        """Write all but the libraries' wheels; of the others keep only what is pinned.

        Returns:
            The folder of the wheels.

        Raises:
            ConfigError: the folder holds something else, or cannot be written.
        """
        _check_ours(folder)
        wheels = folder / "wheels"
        try:
            wheels.mkdir(parents=True, exist_ok=True)
            for name, text in self.texts().items():
                (folder / name).write_text(text, encoding="utf-8")
            self._write_wheels(wheels)
        except OSError as error:
            raise ConfigError(
                f"it cannot be written: {error.strerror}", where=str(folder), fix="use --output"
            ) from error
        return wheels

    def _write_wheels(self, folder: Path) -> None:
        """Ours anew, and nothing that is not pinned, or for another Python."""
        kept = {wheel.write(folder).name for wheel in self.ours}
        for path in folder.iterdir():
            name, version = named(path)
            is_pinned = self.pins.get(name) == version and is_for_this_python(path)
            if path.name not in kept and not is_pinned:
                path.unlink()

    def _dockerfile(self) -> str:
        beam = beam_image(self.pins)
        # An image of somebody else's lacks Beam's entrypoint; to one of Beam's this adds nothing.
        boot = f"COPY --from={beam} /opt/apache/beam /opt/apache/beam\n" if self.base else ""
        variables = {**worker_environment({}), **_ENVIRONMENT}
        lines = [f"{name}={value}" for name, value in sorted(variables.items())]
        template = files(image).joinpath("Dockerfile.template").read_text("utf-8")
        return Template(template).substitute(
            base=self.base or beam,
            boot=boot,
            environment=" \\\n    ".join(lines),
            numba_cache=_NUMBA_CACHE,
            uid=_UID,
        )


def beam_image(pins: Mapping[str, str]) -> str:
    """Beam's own image for this Python and the pinned Beam."""
    return _BEAM_IMAGE.format(minor=sys.version_info.minor, version=pins["apache-beam"])


def library_wheel(pins: Mapping[str, str]) -> Wheel:
    """This library as workers get it: without Dagster among what it requires."""
    folder = Path(klio_dagster.__file__).parent
    try:
        licence = distribution(OURS).read_text("licenses/LICENSE") or ""
    except PackageNotFoundError:  # a source tree on the path
        licence = ""
    return Wheel(
        name=OURS,
        version=klio_dagster.__version__,
        files=files_below(folder, folder.name),
        requires=[f"{name}=={pins[name]}" for name in NEEDS],
        scripts=_SCRIPTS,
        licence=licence,
    )


def project_wheel(code: Code, direct: Sequence[str], pins: Mapping[str, str]) -> Wheel:
    """The code of a project.

    Args:
        code: what was found.
        direct: normalised names of the distributions that it needs itself.
        pins: versions of all.
    """
    requires = [f"{name}=={pins[name]}" for name in sorted(set(direct)) if name in pins]
    return Wheel(name=PROJECT, version="0", files=code.files, requires=requires)


def _check_ours(folder: Path) -> None:
    """Refuse a folder whose files this would overwrite or remove.

    Raises:
        ConfigError: it is no folder, or holds something that no `klio image build` has written.
    """
    if not folder.exists():
        return
    dockerfile = folder / "Dockerfile"
    if folder.is_dir():
        if not any(folder.iterdir()):
            return
        if dockerfile.is_file() and dockerfile.read_text("utf-8").startswith(_MADE_BY_US):
            return
    raise ConfigError(
        "something else is there already", where=f"--output '{folder}'", fix="name a new folder"
    )
