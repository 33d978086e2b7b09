"""`klio image`: what remote workers are given."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from klio_dagster.cli.needed import needed_by
from klio_dagster.cli.output import common, example, print_json, warn
from klio_dagster.cli.project import open_project
from klio_dagster.core.wording import counted
from klio_dagster.errors import ConfigError, RunError
from klio_dagster.image.context import MACHINE, Context
from klio_dagster.image.engines import build_command, builder, check_pushable
from klio_dagster.image.fetch import fetch
from klio_dagster.image.wheel import Wheel, replace_in

_MEGA = 1_000_000

include_option = click.option(
    "--include",
    "included",
    multiple=True,
    metavar="PATH",
    type=click.Path(path_type=Path),
    help="A file or folder of the project that the code needs beside it.",
)
extra_option = click.option(
    "--extra-requirement",
    "extra",
    multiple=True,
    metavar="NAME",
    help="A library that no import names; the version that is installed here.",
)


@click.group(epilog=example("klio image build --no-build", "klio image packages"))
def image() -> None:
    """What remote workers are given: an image, or two packages."""


@image.command(
    epilog=example(
        "klio image build --no-build",
        "klio image build --tag registry.example.com/klio/tracks:1 --push",
        "klio image build --include models --extra-requirement onnxruntime",
    )
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".klio/image"),
    show_default=True,
    metavar="DIR",
    help="Where the image's files are written, in the project.",
)
@click.option("--tag", metavar="NAME", help="Of the image. Default: made from its content.")
@click.option("--push", is_flag=True, help="Push the image to the registry its tag names.")
@click.option("--base", metavar="IMAGE", help="Build on it, not on Beam's image: for GPUs, say.")
@include_option
@extra_option
@click.option("--no-build", is_flag=True, help="Only write the files.")
@common
def build(
    output: Path,
    tag: str | None,
    push: bool,
    base: str | None,
    included: Sequence[Path],
    extra: Sequence[str],
    no_build: bool,
    as_json: bool,
) -> None:
    """Write a Dockerfile and all that it installs, and build the workers' image.

    Writes wheels of this library, of the project's code that transforms import, and of every
    library those need, in the versions that are installed here; a second call fetches what changed.
    Then builds with Docker or podman, whichever answers. The image runs on linux/amd64, needs no
    index when it is built, and has what librosa compiles in it. Name it in DataflowEngine(image=).
    Workers get no Dagster.
    """
    if push:
        check_pushable(tag)
    with open_project(None) as project:
        found = needed_by(project, included, extra)
        folder = (project.folder / output).resolve()
    context = Context(
        pins=found.pins, ours=[found.library, found.code], imports=found.imports, base=base
    )
    wheels = context.write(folder)
    if not as_json:
        warn(f"image: {counted(len(found.pins), 'library', 'libraries')}; fetching what is new")
    fetched = fetch(found.pins, wheels, MACHINE)
    name = tag or context.tag()
    said: dict[str, Any] = {
        "folder": str(folder),
        "image": name,
        "libraries": len(found.pins),
        "fetched": fetched,
        "bytes": sum(path.stat().st_size for path in wheels.iterdir()),
        "code": sorted({path.partition("/")[0] for path in found.code.files}),
        "built": False,
        "pushed": False,
    }
    if not as_json:
        click.echo(
            f"{folder}: {len(found.pins)} libraries ({fetched} fetched) and {_listed(said['code'])}"
            f" in {said['bytes'] / _MEGA:,.0f} MB of wheels"
        )
    if not no_build:
        _built(folder, name, push=push, told=said, is_told=not as_json)
    if as_json:
        print_json(said)


@image.command(epilog=example("klio image packages", "klio image packages --output dist"))
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".klio/packages"),
    show_default=True,
    metavar="DIR",
    help="Where the packages are written, in the project.",
)
@include_option
@extra_option
@common
def packages(output: Path, included: Sequence[Path], extra: Sequence[str], as_json: bool) -> None:
    """Write two wheels for DataflowEngine(extra_packages=), where there is no image.

    One is this library without Dagster, the other the project's code that transforms import. They
    require what workers need in the versions that are installed here; each worker fetches that from
    an index when it starts, which takes minutes.
    """
    with open_project(None) as project:
        found = needed_by(project, included, extra)
        folder = (project.folder / output).resolve()
    written = [str(path) for path in _written(folder, (found.library, found.code))]
    if as_json:
        print_json({"packages": written})
    else:
        click.echo("\n".join(written))


def _written(folder: Path, wheels: Sequence[Wheel]) -> list[Path]:
    """The wheels, in the place of those that were there.

    Raises:
        ConfigError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [replace_in(folder, wheel) for wheel in wheels]
    except OSError as error:
        raise ConfigError(
            f"it cannot be written: {error.strerror}", where=str(folder), fix="use --output"
        ) from error


def _built(folder: Path, name: str, *, push: bool, told: dict[str, Any], is_told: bool) -> None:
    """Build the image, and push it.

    Raises:
        RunError: there is nothing to build it with, or that fails.
    """
    by = builder()
    if by is None:
        command = " ".join(build_command("docker", folder, name))
        raise RunError(
            "neither Docker nor podman answers here",
            where=f"image {name}",
            fix=f"its files are written: run `{command}` where one does, or give --no-build",
        )
    if is_told:
        warn(f"image: {by.program} builds it, which takes minutes")
    by.build(folder, name)
    told["built"] = True
    if push:
        by.push(name)
        told["pushed"] = True
    if is_told:
        done = "pushed" if push else "built"
        click.echo(f'{done}: {name}, for DataflowEngine(image="{name}")')


def _listed(code: Sequence[str]) -> str:
    return ", ".join(code) if code else "no code"
