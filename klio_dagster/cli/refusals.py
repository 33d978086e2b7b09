"""What Dagster or a user's definitions refuse, as one line: where it is, and how to mend it."""

import re
import warnings
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from klio_dagster.core.place import place_of
from klio_dagster.core.wording import did_you_mean
from klio_dagster.defs.folder import PYPROJECT, WORKSPACE
from klio_dagster.errors import ConfigError, KlioError

_SHOWN_CHARACTERS = 400  # of an error of Dagster's, which may be pages
_UNSET = re.compile(r'environment variable "([^"]+)" which is not set')
_WRONG_CONFIG = re.compile(r"Error 1: (.+?)\.?(?: Expected: | Error 2: |$)")


@contextmanager
def one_line(where: str, fix: str) -> Iterator[None]:
    """Whatever Dagster or a user's module raises, as an error of ours; ours stay as they are.

    Raises:
        ConfigError: something else was raised.
        KlioError: it was ours, or was caused by one of ours.
    """
    try:
        yield
    except KlioError:
        raise
    except Exception as error:
        cause = _cause(error)
        if isinstance(cause, KlioError):
            raise cause from error
        refused = _refusal(cause, where, fix)
        raise refused from error


@contextmanager
def loading(folder: Path) -> Iterator[None]:
    """The same of a project's definitions; the file and the line are named.

    Raises:
        ConfigError: they cannot be loaded.
        KlioError: a definition of ours is wrong.
    """
    named = WORKSPACE if (folder / WORKSPACE).is_file() else PYPROJECT
    where, fix = str(folder / named), f"mend what {named} names"
    try:
        with one_line(where, fix):
            yield
    except ConfigError as error:
        cause = _cause(error.__cause__) if error.__cause__ else None
        place = None if cause is None or isinstance(cause, KlioError) else place_of(cause)
        if place is None or cause is None:
            raise
        text = cause.msg if isinstance(cause, SyntaxError) else str(cause)
        raise ConfigError(
            f"{type(cause).__name__}: {_short(text)}",
            where=f"{place.file}:{place.line}",
            fix="mend it (--debug shows the way there)",
        ) from error


def selected_keys(select: str, graph: object) -> Collection[dg.AssetKey]:
    """What a selection selects of a code location; nothing if it names an asset of another one.

    Raises:
        ConfigError: it is no selection.
    """
    try:
        with warnings.catch_warnings():
            # What of a selection's syntax is in beta is Dagster's affair.
            warnings.simplefilter("ignore", dg.BetaWarning)
            selection = dg.AssetSelection.from_string(select)
            return selection.resolve(graph)  # pyright: ignore[reportArgumentType] - not public
    except dg.DagsterInvalidSubsetError:
        return ()
    except Exception as error:
        raise ConfigError(
            "it is no asset selection",
            where=f"--select '{select}'",
            fix="write names of assets, `name+` (and what is made of it), `one or other`",
        ) from error


def nothing_selected(select: str, known: Sequence[str]) -> ConfigError:
    """The error of a selection that selects none of the entity assets.

    Args:
        select: as it was written.
        known: keys of the entity assets.
    """
    names = [name for name in re.findall(r"[\w/.-]+", select) if name not in known]
    close = did_you_mean(names[0], known) if len(names) == 1 else None
    return ConfigError(
        "it selects no entity asset",
        where=f"--select '{select}'",
        fix=close or f"there are {', '.join(known) or 'none'}",
    )


def config_problem(text: str) -> str | None:
    """What Dagster's page about wrong configuration says; None if it is none."""
    text = " ".join(text.split())
    unset = list(dict.fromkeys(_UNSET.findall(text)))
    if unset:
        are = "variable {} is" if len(unset) == 1 else "variables {} are"
        return f"the environment {are.format(', '.join(unset))} not set"
    found = _WRONG_CONFIG.search(text)
    return None if found is None else _short(found[1])


def _refusal(error: BaseException, where: str, fix: str) -> ConfigError:
    wrong = config_problem(str(error)) if isinstance(error, dg.DagsterInvalidConfigError) else None
    if wrong is None:
        wrong = f"{type(error).__name__}: {_short(str(error))}"
        return ConfigError(wrong, where=where, fix=f"{fix} (--debug shows where)")
    return ConfigError(wrong, where=where, fix="set it" if "not set" in wrong else "mend it")


def _cause(error: BaseException) -> BaseException:
    """What an error was raised from in the end, or the first of ours."""
    while error.__cause__ is not None and not isinstance(error, KlioError):
        error = error.__cause__
    return error


def _short(text: str) -> str:
    return " ".join(text.split())[:_SHOWN_CHARACTERS]
