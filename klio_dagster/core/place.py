"""Where in a user's code an exception was raised."""

import re
import sys
from collections.abc import Collection, Iterator
from traceback import walk_tb
from typing import NamedTuple

_OURS = __name__.partition(".")[0]
_INSTALLED = re.compile(r"[/\\](?:site|dist)-packages[/\\]")
_MOST_CAUSES = 10
# Control characters, and those that turn the direction of writing.
_OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_IN_TEXT = re.compile(r" \([^()\s]+\.py:\d+\)\Z")


class Place(NamedTuple):
    """A line of a file.

    Args:
        file: its path, as Python has it.
        line: 1 for the first; 0 where it is not known.
        module: the module it is, or empty.
    """

    file: str
    line: int
    module: str = ""

    def __str__(self) -> str:
        # By the module, not by a folder: the same wherever the project lies.
        path = re.split(r"[/\\]", self.file)
        depth = self.module.count(".") + 1 + path[-1].startswith("__init__.")
        return f"{'/'.join(path[-depth:])}:{self.line}"


def place_of(error: BaseException, packages: Collection[str] = ()) -> Place | None:
    """The innermost line of the user's code that an exception, or its cause, went through.

    Not the user's are the standard library, this package, and what is installed; None where there
    is no other line.

    Args:
        error: as it was raised.
        packages: top-level names of modules that are the user's though they are installed.
    """
    for each in _with_causes(error):
        if isinstance(each, SyntaxError) and each.filename and _is_file_of_user(each.filename):
            return Place(each.filename, each.lineno or 0)
        places = [
            Place(frame.f_code.co_filename, line, str(frame.f_globals.get("__name__") or ""))
            for frame, line in walk_tb(each.__traceback__)
        ]
        found = next((place for place in reversed(places) if _is_of_user(place, packages)), None)
        if found is not None:
            return found
    return None


def without_place(text: str) -> tuple[str, str]:
    """An error's text, and the ` (file:line)` that it ends with or nothing."""
    found = _IN_TEXT.search(text)
    return (text[: found.start()], found.group()) if found else (text, "")


def cut(text: str, most: int) -> str:
    """An error's text of at most so many characters, with the place it ends with.

    What a terminal would obey is escaped: errors quote file names, tags and contents.
    """
    text = _OBEYED.sub(lambda found: ascii(found[0])[1:-1], text)
    if len(text) <= most:
        return text
    message, place = without_place(text)
    return f"{message[: max(0, most - len(place) - 3)]}...{place}"


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    found: BaseException | None = error
    for _ in range(_MOST_CAUSES):
        if found is None:
            return
        yield found
        found = found.__cause__


def _is_of_user(place: Place, packages: Collection[str]) -> bool:
    package = place.module.partition(".")[0]
    if package == _OURS or package in sys.stdlib_module_names:
        return False
    return package in packages or _is_file_of_user(place.file)


def _is_file_of_user(file: str) -> bool:
    return not file.startswith("<") and _INSTALLED.search(file) is None
