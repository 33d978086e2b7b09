"""The code that workers import: found from the transforms' modules, by reading what they import."""

import ast
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from importlib.metadata import distributions, packages_distributions
from importlib.util import find_spec
from pathlib import Path

from klio_dagster.errors import ConfigError
from klio_dagster.image.wheel import files_below

_LIBRARY = "klio_dagster"


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """What a project brings.

    Args:
        files: path in `site-packages` to the file.
        distributions: names of the installed distributions that the code imports.
    """

    files: Mapping[str, Path]
    distributions: Sequence[str]


def code_of(modules: Iterable[str], folder: Path, included: Iterable[Path] = ()) -> Code:
    """The code that importing these modules takes.

    Of a package all files are taken, whatever its modules import; of a single module that one.

    Args:
        modules: of transforms, checks and schemas.
        folder: of the project.
        included: further files and folders of it, for the same place beside the code.

    Raises:
        ConfigError: a module is not found, or something that is included lies elsewhere.
    """
    finder = _Finder()
    local = finder.reached(modules)
    files: dict[str, Path] = {}
    for top in sorted({module.partition(".")[0] for module in local}):
        files |= _files_of(finder.local[top], top)
    for path in included:
        files |= _included(path, folder)
    return Code(files=files, distributions=sorted(_distributions(finder.others)))


class _Finder:
    """Follows imports through what is not installed."""

    def __init__(self) -> None:
        paths = sysconfig.get_paths()
        installed = [paths["purelib"], paths["platlib"], *site.getsitepackages()]
        installed.append(site.getusersitepackages())  # of `pip install --user`
        self._installed = {Path(each).resolve() for each in installed}
        self.local: dict[str, ModuleSpec] = {}
        """Name of a package or module of the project to where it is."""
        self.others: set[str] = set()
        """Full names of what is imported and installed."""

    def reached(self, modules: Iterable[str]) -> set[str]:
        """The modules of the project that importing these may load, at once or later.

        Raises:
            ConfigError: one of the given modules is not found.
        """
        todo = list(modules)
        for module in todo:
            if not self._is_local(module) and self._spec(module) is None:
                raise ConfigError(
                    "it is not found",
                    where=f"module '{module}'",
                    fix="see that it is installed, or lies in the project's folder",
                )
        seen: set[str] = set()
        while todo:
            name = todo.pop()
            if name in seen or not self._is_local(name):
                continue
            path = self._file(name)
            if path is None:
                continue  # an attribute of a module, or a part of it that is not there
            seen.add(name)
            parent, _, _ = name.rpartition(".")
            todo += [parent] if parent else []
            todo += imported_by(path, name)
        return seen

    def _is_local(self, module: str) -> bool:
        """Whether the project brings it; what is installed is noted."""
        top = module.partition(".")[0]
        if top in self.local:
            return True
        if top == _LIBRARY or top in sys.stdlib_module_names:
            return False
        spec = self._spec(top)
        where = _places(spec) if spec else []
        if not spec or not where:
            return False
        if any(place.is_relative_to(each) for place in where for each in self._installed):
            self.others.add(module)
            return False
        self.local[top] = spec
        return True

    def _spec(self, module: str) -> ModuleSpec | None:
        try:
            return find_spec(module.partition(".")[0])
        except ValueError:  # it was made by hand, and has none
            return None

    def _file(self, module: str) -> Path | None:
        """The source of a module of the project."""
        top, *parts = module.split(".")
        spec = self.local[top]
        if not parts:
            places = [Path(each) / "__init__.py" for each in spec.submodule_search_locations or ()]
            candidates = [Path(spec.origin)] if spec.origin else places
        else:
            candidates = [
                candidate
                for place in map(Path, spec.submodule_search_locations or ())
                for candidate in (
                    place.joinpath(*parts).with_suffix(".py"),
                    place.joinpath(*parts, "__init__.py"),
                )
            ]
        return next((each for each in candidates if each.suffix == ".py" and each.is_file()), None)


def imported_by(path: Path, module: str) -> Iterator[str]:
    """Full names of what a source imports anywhere in it: modules, or names in them.

    Raises:
        ConfigError: it is no Python.
    """
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except (SyntaxError, ValueError) as error:
        raise ConfigError(f"it is no Python ({error})", where=str(path), fix="mend it") from error
    package = module if path.stem == "__init__" else module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".") if package and node.level else []
            base = base[: len(base) - node.level + 1]
            full = ".".join([*base, *([node.module] if node.module else [])])
            yield from ([full] if full else [])
            yield from (f"{full}.{alias.name}".lstrip(".") for alias in node.names)


def _places(spec: ModuleSpec) -> list[Path]:
    found = [*(spec.submodule_search_locations or ())]
    if spec.origin and spec.origin not in {"built-in", "frozen"}:
        found.append(spec.origin)
    return [Path(each).resolve() for each in found]


def _files_of(spec: ModuleSpec, top: str) -> dict[str, Path]:
    if spec.submodule_search_locations:
        files: dict[str, Path] = {}
        for place in spec.submodule_search_locations:
            files |= files_below(Path(place), top)
        return files
    assert spec.origin
    path = Path(spec.origin)
    return {path.name: path}


def _included(path: Path, folder: Path) -> dict[str, Path]:
    """A file, or all files of a folder.

    Raises:
        ConfigError: it is not there, or not in the project.
    """
    full = (folder / path).resolve()
    if not full.exists():
        raise ConfigError("it is not there", where=f"--include '{path}'", fix="mend the path")
    if full == folder.resolve() or not full.is_relative_to(folder.resolve()):
        raise ConfigError(
            "it is not below the project's folder",
            where=f"--include '{path}'",
            fix="name a file or a folder of the project",
        )
    at = full.relative_to(folder.resolve()).as_posix()
    return {at: full} if full.is_file() else files_below(full, at)


def _distributions(modules: Iterable[str]) -> set[str]:
    """The distributions that installed modules come from."""
    by_top = packages_distributions()
    found: set[str] = set()
    shared: set[str] = set()
    for module in modules:
        names = set(by_top.get(module.partition(".")[0], ()))
        if len(names) > 1:
            shared.add(module)
        else:
            found |= names
    return found | (_owners(shared) if shared else set())


def _owners(modules: Iterable[str]) -> set[str]:
    """The distributions of modules in packages that several share, `google.cloud.storage`."""
    wanted = {
        f"{module.replace('.', '/')}{end}" for module in modules for end in (".py", "/__init__.py")
    }
    return {
        each.metadata["Name"]
        for each in distributions()
        if any(path.as_posix() in wanted for path in each.files or ())
    }
