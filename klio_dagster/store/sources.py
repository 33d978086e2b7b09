"""`tracks/{entity}.flac`: from one bulk listing to entities, files and versions.

The direction is always from a file that exists to an entity id. An id is never joined into a path,
so no id, however it is spelled, can name a file outside the pattern's folder.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from klio_dagster.core.ids import id_problem, unescape
from klio_dagster.errors import ConfigError, EntityError, InvalidEntityIdError
from klio_dagster.store.layout import OWN_FOLDER
from klio_dagster.store.objects import ObjectInfo, ObjectStore
from klio_dagster.store.url import REMOTE_SCHEMES

_TOKEN = re.compile(r"(\{entity\}|\{entity:path\}|\{entity:escaped\}|\*)")
ESCAPED = "{entity:escaped}"
"""In a pattern: an id as `core.ids.escape` writes it."""
_TOKENS = {
    "{entity}": r"(?P<entity>[^/]+)",
    "{entity:path}": r"(?P<entity>[^/]+(?:/[^/]+)*)",
    "{entity:escaped}": r"(?P<entity>[^/]+(?:/[^/]+)*)",
    "*": r"[^/]*",
}
_FILE = "file://"
MOST_BYTES = 2 << 30
"""Of a recording that is not on this machine: it is held in memory, beside what it decodes to."""


class SourceObject(NamedTuple):
    """One file an entity starts from.

    Args:
        path: relative to the store; for a pattern with a URL the whole location, literally
            (nothing in it is percent-encoded).
        version: changes when the content does: etag, or size and time in microseconds.
        size: in bytes.
        modified: by the clock of where it lies, in UTC; None where nobody says.
    """

    path: str
    version: str
    size: int
    modified: datetime | None = None


@dataclass(frozen=True, slots=True)
class SourcePattern:
    """Which files are sources, and which part of their path is the entity id.

    Args:
        text: as the user wrote it.
        root: the folder to list if it is not in the store, a path or a URL; otherwise empty.
        prefix: folder to list in the store or below the root, with its slash, or empty.
        expression: matches the path of a source, with a group `entity`.
    """

    text: str
    root: str
    prefix: str
    expression: re.Pattern[str]

    @property
    def is_escaped(self) -> bool:
        """Its files are outputs of entity assets: their names are escaped ids."""
        return ESCAPED in self.text

    def entity_at(self, path: str) -> str | None:
        """The entity whose source lies there, as a listing gives the path; None if it is none."""
        match = self.expression.fullmatch(path, len(self.prefix))
        if match is None or not path.startswith(self.prefix):
            return None
        return _unescaped(match["entity"]) if self.is_escaped else match["entity"]

    def covers(self, path: str) -> bool:
        """A file there was probably meant to be a source, whether it matches or not.

        Below a folder of the store that is every file; elsewhere, where outputs or anything else
        may lie, those beside the recordings. Hidden ones never are.

        Args:
            path: as a listing gives it.
        """
        is_beside = "/" not in path
        is_hidden = path.rpartition("/")[2].startswith(".")
        return (bool(self.prefix) or is_beside) and not is_hidden

    def is_source(self, path: str) -> bool:
        """The file of that path, as a listing gives it, is one of this pattern's."""
        return self.entity_at(path) is not None

    @classmethod
    def parse(cls, text: str) -> "SourcePattern":
        """Parse a pattern: `{entity}` is one part of a path, `{entity:path}` several.

        `{entity:escaped}` is an id as it stands in the name of an entity asset's output. `*` is any
        text within one part. Everything else is literal.

        Args:
            text: relative to the store, or beginning with `file:///`, `gs://`, `s3://`, `az://`.

        Raises:
            ConfigError: there is not exactly one entity in it, or it leaves the store.
        """
        scheme, separator, rest = text.rpartition("://")
        parts = (rest if separator else text).split("/")
        entities = [piece for piece in _TOKEN.findall(text) if piece != "*"]
        if len(entities) != 1:
            raise _malformed(text, "it must contain {entity} or {entity:path} exactly once")
        if re.search(r"[{}]", _TOKEN.sub("", text)):
            raise _malformed(text, "it contains a brace that is none of {entity}")
        if "\0" in text or not {".", ".."}.isdisjoint(parts):
            raise _malformed(text, "it contains '.', '..' or a NUL")
        first = next(i for i, part in enumerate(parts) if _TOKEN.search(part))
        expression = re.compile("/".join(_expression(part) for part in parts[first:]))
        if not separator:
            if "" in parts:
                raise _malformed(text, "it is absolute or has an empty part")
            if parts[0].casefold() == OWN_FOLDER:
                raise _malformed(text, f"{OWN_FOLDER}/ is ours")
            prefix = "".join(f"{part}/" for part in parts[:first])
            return cls(text, "", prefix, expression)
        if scheme not in {"file", *REMOTE_SCHEMES}:
            raise _malformed(text, f"sources cannot be read from {scheme}://")
        if first == 0 or "" in parts[1:] or "?" in "".join(parts[:first]):
            raise _malformed(text, "its bucket or one of its folders is no plain name")
        if (parts[0] == "") != (scheme == "file"):
            raise _malformed(text, "a bucket follows gs://, s3:// and az://, a slash file://")
        folder = "/".join(parts[:first])
        # A path and not a file URL, so that nothing in it is decoded: a pattern is literal.
        root = (folder or "/") if scheme == "file" else f"{scheme}://{folder}"
        return cls(text, root, "", expression)


@dataclass(frozen=True, slots=True)
class SourceListing:
    """What one listing found.

    Args:
        location: what was listed, for messages.
        matches: the file of each entity.
        ambiguous: entities that several files match, with those files' paths.
        refused: ids that cannot be used, with the reason.
        unmatched: how many files lie there that are no source of this or another pattern.
        unmatched_file: one of them.
    """

    location: str
    matches: Mapping[str, SourceObject]
    ambiguous: Mapping[str, tuple[str, ...]]
    refused: Mapping[str, str]
    unmatched: int = 0
    unmatched_file: str = ""


@dataclass(frozen=True, slots=True)
class OpenedSource:
    """A source that can be read.

    Args:
        uri: its full location.
        path: the file it is, or None if it is not on this machine.
    """

    uri: str
    path: Path | None
    _store: ObjectStore
    _key: str

    def read(self, most_bytes: int = MOST_BYTES) -> bytes:
        """All its bytes.

        Args:
            most_bytes: how large it may be, where that can be asked before it is downloaded.

        Raises:
            EntityError: it is larger.
            ObjectNotFoundError: it was removed since it was listed.
            ConfigError: the store does not let us read it.
            StoreUnavailableError: the store did not answer.
        """
        if self.path is None:
            self.size(most_bytes)
        return self._store.get(self._key)

    def size(self, most_bytes: int = MOST_BYTES) -> int:
        """How many bytes it has.

        Raises:
            EntityError: they are more than that.
            ObjectNotFoundError: it was removed since it was listed.
            ConfigError: the store does not let us read it.
            StoreUnavailableError: the store did not answer.
        """
        size = self._store.head(self._key).size
        if size > most_bytes:
            raise EntityError(
                f"it has {size:,} bytes, and is downloaded whole up to {most_bytes:,}",
                where=self.uri,
                fix="cut it into shorter recordings",
            )
        return size

    def pieces(self) -> Iterator[bytes]:
        """All its bytes, some megabytes at a time, all of the same version.

        Raises:
            ObjectNotFoundError: it was removed since it was listed.
            ConfigError: the store does not let us read it.
            StoreUnavailableError: the store did not answer.
        """
        return self._store.pieces(self._key)


def list_sources(
    pattern: SourcePattern, store: ObjectStore, beside: Sequence[SourcePattern] = ()
) -> SourceListing:
    """Every entity the pattern's folder holds, from one bulk listing.

    Names of files are taken literally, nothing is unescaped. Our own folder never matches.

    Args:
        pattern: which files are sources.
        store: where the pattern is looked for unless it is a URL.
        beside: other patterns, whose sources are no strays.

    Raises:
        ConfigError: the store does not let us list.
        StoreUnavailableError: it did not answer.
    """
    listed = store.elsewhere(pattern.root) if pattern.root else store
    found: dict[str, list[ObjectInfo]] = {}
    matches_rest = pattern.expression.fullmatch
    skip, is_escaped = len(pattern.prefix), pattern.is_escaped
    others = [each for each in beside if each.root == pattern.root]
    unmatched, stray = 0, ""
    for info in listed.list(pattern.prefix):
        match = matches_rest(info.path, skip)
        if info.path.startswith(f"{OWN_FOLDER}/"):
            continue
        entity = match["entity"] if match is not None else None
        if is_escaped and entity is not None:
            entity = _unescaped(entity)
        if entity is not None:
            found.setdefault(entity, []).append(info)
        elif pattern.covers(info.path) and not any(each.is_source(info.path) for each in others):
            unmatched += 1
            stray = min(stray or info.path, info.path)
    matches: dict[str, SourceObject] = {}
    ambiguous: dict[str, tuple[str, ...]] = {}
    refused: dict[str, str] = {}
    for entity_id, infos in sorted(found.items()):
        problem = id_problem(entity_id)
        if problem is not None:
            refused[entity_id] = problem
        elif len(infos) > 1:
            ambiguous[entity_id] = tuple(
                sorted(location_of(pattern, listed, i.path) for i in infos)
            )
        else:
            info = infos[0]
            path = location_of(pattern, listed, info.path)
            matches[entity_id] = SourceObject(path, info.version, info.size, info.modified)
    return SourceListing(
        listed.uri(pattern.prefix),
        matches,
        ambiguous,
        refused,
        unmatched,
        stray and location_of(pattern, listed, stray),
    )


def open_source(store: ObjectStore, source: SourceObject) -> OpenedSource:
    """A listed source, ready to be read.

    Args:
        store: what the listing was given.
        source: out of that listing.

    Raises:
        ConfigError: its path is none that a listing gives.
    """
    scheme, separator, rest = source.path.partition("://")
    if separator and scheme in {"file", *REMOTE_SCHEMES}:
        bucket, _, key = rest.partition("/")
        store = store.elsewhere("/" if scheme == "file" else f"{scheme}://{bucket}")
    else:
        key = source.path
    return OpenedSource(store.uri(key), store.local_path(key), store, key)


def location_of(pattern: SourcePattern, listed: ObjectStore, path: str) -> str:
    """The path of a source as tasks name it: in the store, or the whole location."""
    if not pattern.root:
        return path
    return listed.uri(path) if "://" in listed.url else _FILE + listed.uri(path)


def _unescaped(name: str) -> str | None:
    try:
        return unescape(name)
    except InvalidEntityIdError:  # no output of ours is called so
        return None


def _expression(part: str) -> str:
    return "".join(_TOKENS.get(piece) or re.escape(piece) for piece in _TOKEN.split(part))


def _malformed(text: str, what: str) -> ConfigError:
    return ConfigError(
        what,
        where=f"source pattern {text!r}",
        fix="write it like 'tracks/{entity}.flac' (in the store), 'file:///music/{entity}.flac' or"
        " 'gs://bucket/tracks/{entity}.*'",
    )
