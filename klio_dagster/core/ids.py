"""Entity ids: what is allowed, and how an id becomes a path and a path an id again.

Ids come from outside (messages, file names, a person) and name files, so nothing in one may act as
path syntax. Escaping is percent encoding, which `urllib.parse.unquote` and every storage browser
read; only the set of characters kept as they are is ours, see `escape`.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from klio_dagster.errors import InvalidEntityIdError

MAX_ID_BYTES = 256
MAX_ASSET_BYTES = 100  # of its key; with an escaped id (780) and a suffix, paths stay under 1,000
MAX_NAME_BYTES = 200  # of one folder or file name without its suffix; file systems end at 255
FOLDER_END = "+"  # escaped to %2B everywhere else, so no folder is called like a file

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_BIDIRECTIONAL = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_PLAIN = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")
_TO_ESCAPE = re.compile(r"[^a-z0-9_.-]|(?<![^.])\.|\.\Z")
_ESCAPED_TAIL = re.compile(r"%[0-9A-F]?\Z")


def id_problem(entity_id: str) -> str | None:
    """Why this id cannot be used, or None if it can.

    Allowed are 1 to 256 bytes of UTF-8 without control characters, bidirectional formatting
    characters and `...` (Dagster's separator of partition ranges), and not only white space.
    """
    if entity_id.isascii():
        size = len(entity_id)
    else:
        try:
            size = len(entity_id.encode())
        except UnicodeEncodeError:
            return "it is not valid Unicode (a lone surrogate)"
        if _BIDIRECTIONAL.search(entity_id):
            return "it contains a bidirectional formatting character"
    if size == 0:
        return "it is empty"
    if size > MAX_ID_BYTES:
        return f"it has {size} bytes of UTF-8, more than {MAX_ID_BYTES}"
    if _CONTROL.search(entity_id):
        return "it contains a control character"
    if "..." in entity_id:
        return "it contains '...', which Dagster reads as a range of partitions"
    if entity_id.isspace():
        return "it is only white space"
    return None


def check_id(entity_id: str) -> str:
    """The id itself if it is allowed.

    Raises:
        InvalidEntityIdError: it is not; the message says why.
    """
    problem = id_problem(entity_id)
    if problem is not None:
        raise InvalidEntityIdError(
            problem, where=_where(entity_id), fix="give the entity another id"
        )
    return entity_id


def escape(entity_id: str) -> str:
    """The path of an entity: a file name without suffix, in folders if it is long.

    Kept are a-z, 0-9, `_`, `-`, and a dot that is neither first nor last nor after a dot; every
    other byte of the UTF-8 form becomes `%XX`. So the path is ASCII, has no upper-case letter
    outside an escape, no `..`, and two ids never share one, not even where a file system folds case
    or normalises Unicode.

    Args:
        entity_id: an id for which `id_problem` is None.

    Returns:
        One name of at most 200 bytes, or folders of at most 200 bytes, each ending in `+`, and a
        name, joined by `/`.

    Raises:
        InvalidEntityIdError: the id is empty or not valid Unicode.
    """
    if _PLAIN.fullmatch(entity_id):
        name = entity_id
    elif entity_id:
        name = _TO_ESCAPE.sub(_percent, entity_id)
    else:
        raise InvalidEntityIdError("it is empty", where="entity ''", fix="give the entity an id")
    return name if len(name) <= MAX_NAME_BYTES else "/".join(_pieces(name))


def unescape(path: str) -> str:
    """The entity id that `escape` turned into this path.

    Raises:
        InvalidEntityIdError: `escape` never gives this path, so the file is none of ours.
    """
    if _PLAIN.fullmatch(path) and len(path) <= MAX_NAME_BYTES:
        return path
    try:
        entity_id = unquote_to_bytes(path.replace(FOLDER_END + "/", "")).decode()
        if escape(entity_id) == path:
            return entity_id
    except (UnicodeError, InvalidEntityIdError):
        pass
    raise InvalidEntityIdError(
        "it is not the escaped form of an entity id",
        where=f"path {path!r}",
        fix="move foreign files out of the asset's folder",
    )


def printable(entity_id: str) -> str:
    """An id as a terminal or a page can show it: what could be taken for a command is escaped.

    Refused ids are shown too, and may hold line breaks.
    """
    return entity_id if entity_id.isprintable() and entity_id else ascii(entity_id)


def _where(entity_id: str) -> str:
    shown = entity_id if len(entity_id) <= MAX_ID_BYTES else entity_id[:MAX_ID_BYTES] + "…"
    return f"entity {shown!r}"


@lru_cache(maxsize=4096)
def _percent_of(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode())


def _percent(match: re.Match[str]) -> str:
    try:
        return _percent_of(match[0])
    except UnicodeEncodeError as error:
        raise InvalidEntityIdError(
            "it is not valid Unicode (a lone surrogate)",
            where=_where(match.string),
            fix="give the entity another id",
        ) from error


def _pieces(name: str) -> Iterator[str]:
    """Cut a long escaped name where neither an escape nor a leading dot would be torn off."""
    while len(name) > MAX_NAME_BYTES:
        cut = MAX_NAME_BYTES - len(FOLDER_END)
        if name[cut] == ".":
            cut -= 1
        torn = _ESCAPED_TAIL.search(name, cut - 2, cut)
        if torn:
            cut = torn.start()
        yield name[:cut] + FOLDER_END
        name = name[cut:]
    yield name
