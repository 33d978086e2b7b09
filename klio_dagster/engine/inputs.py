"""The inputs of one entity: from the chain's memory, from the store, from the source."""

import copy
import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np

from klio_dagster.audio.clip import AudioClip
from klio_dagster.audio.read import read_audio
from klio_dagster.codecs.registry import codec_from_json
from klio_dagster.core.manifest import PartSpec, Task
from klio_dagster.core.output import RELOAD, OutputCodec
from klio_dagster.core.reference import Transform, source_annotation
from klio_dagster.engine.scratch import forget_file, keep_file
from klio_dagster.errors import ConfigError, EntityError, ObjectNotFoundError
from klio_dagster.store.layout import output_path
from klio_dagster.store.objects import ObjectStore
from klio_dagster.store.sources import SourceObject, open_source


@dataclass(frozen=True, slots=True)
class SourceFile:
    """An external input as a file on this machine, for transforms that open it themselves.

    Args:
        path: the file; it must not be changed. Of a source in a bucket a copy, which is removed
            when the entity is computed.
        uri: where it came from.
    """

    path: Path
    uri: str


ReadSource = Callable[[ObjectStore, str], object]


def source_reader(transform: Transform, where: str, *, of_each: bool = False) -> ReadSource:
    """How a transform wants its source, by the annotation of its parameter.

    Args:
        transform: a function or a class.
        where: whose transform it is, for the error message.
        of_each: it takes a list of them, one for each entity of a batch.

    Raises:
        ConfigError: the annotation is none of AudioClip, bytes and SourceFile.
    """
    annotation = source_annotation(transform)
    if of_each:
        annotation = _element(annotation)
    name = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    readers: dict[str, ReadSource] = {
        "AudioClip": _as_clip,
        "bytes": _as_bytes,
        "SourceFile": _as_file,
    }
    reader = readers.get(str(name).rpartition(".")[2])
    if reader is None:
        shown = "nothing" if annotation in (None, inspect.Parameter.empty) else repr(annotation)
        raise ConfigError(
            f"parameter 'source' is annotated with {shown}",
            where=where,
            fix="annotate it with AudioClip, bytes or SourceFile"
            f"{', in list[...]' if of_each else ''}: that says how it is read",
        )
    return reader


def _element(annotation: object) -> object:
    """`AudioClip` of `list[AudioClip]`, also where the annotation is a text."""
    if isinstance(annotation, str):
        return annotation.rpartition("[")[2].rstrip("]")
    return next(iter(get_args(annotation)), None)


def _as_bytes(store: ObjectStore, path: str) -> bytes:
    return open_source(store, SourceObject(path, "", 0)).read()


def _as_clip(store: ObjectStore, path: str) -> AudioClip:
    opened = open_source(store, SourceObject(path, "", 0))
    # A file is opened and not read: its size is looked at before its content.
    return read_audio(opened.path or opened.read(), where=path)


def _as_file(store: ObjectStore, path: str) -> SourceFile:
    opened = open_source(store, SourceObject(path, "", 0))
    if opened.path is not None:
        return SourceFile(opened.path, opened.uri)
    kept = keep_file(opened.pieces(), opened.size(), name=path, where=opened.uri)
    return SourceFile(kept, opened.uri)


@dataclass(slots=True)
class Values:
    """What one entity's chain has computed or loaded so far.

    Args:
        task: the entity's task.
        store: where outputs lie.
        chain: the parts by name.
        codecs: output codec of each asset of the chain.
        shared: patterns of sources that several parts of the chain read.
    """

    task: Task
    store: ObjectStore
    chain: Mapping[str, PartSpec]
    codecs: Mapping[str, OutputCodec]
    shared: Collection[str] = ()
    _values: dict[str, object] = field(default_factory=dict[str, object])
    _stored: dict[str, bytes] = field(default_factory=dict[str, bytes])
    _files: list[Path] = field(default_factory=list[Path])
    _sources: dict[tuple[str, ReadSource], object] = field(
        default_factory=dict[tuple[str, ReadSource], object]
    )

    def keep_output(self, name: str, value: object, data: bytes) -> None:
        """What an asset stored: its canonical value, or bytes to load for each consumer."""
        if value is RELOAD:
            self._stored[name] = data
        else:
            self._values[name] = value

    def keep_step(self, name: str, value: object) -> None:
        """What a step computed.

        Arrays are passed on read-only, so that no consumer sees another's changes; anything else
        is copied for each.
        """
        if isinstance(value, np.ndarray):
            view = cast("np.ndarray[Any, Any]", value).view()
            view.flags.writeable = False
            value = view
        self._values[name] = value

    def has(self, name: str) -> bool:
        """It was computed already."""
        return name in self._values or name in self._stored

    def input(self, name: str) -> object:
        """The value of an asset of the chain, a step, or an asset outside the group.

        Raises:
            EntityError: what is stored cannot be loaded.
        """
        if name in self._values:
            value = self._values[name]
            return value if _is_unchangeable(value) else copy.deepcopy(value)
        outside = self.task.outside.get(name)
        if outside is not None:
            # An output of another group may lie in another store: its uri says where.
            path = outside.uri if "://" in outside.uri else f"file://{outside.uri}"
            return self._loaded(name, codec_from_json(outside.codec), path)
        if name not in self.chain:
            raise EntityError(
                f"there is no stored output of '{name}'",
                where=f"entity '{self.task.entity}'",
                fix=f"compute '{name}' first",
            )
        codec = self.codecs[name]
        return self._loaded(
            name, codec, output_path(self.chain[name].key, self.task.entity, codec.suffix)
        )

    def is_loadable(self, name: str) -> bool:
        """It has a value for each entity; an unpartitioned asset has not."""
        return name in self.chain or name in self.task.outside

    def source(self, pattern: str, read: ReadSource) -> object:
        """What the listing matched for this entity, read; once for all parts that want the same.

        Raises:
            EntityError: nothing matches, or it cannot be read.
        """
        if (pattern, read) in self._sources:
            return self._sources[pattern, read]
        path = self.task.sources.get(pattern)
        if path is None:
            raise EntityError(
                f"nothing matches '{pattern}'",
                where=f"entity '{self.task.entity}'",
                fix="put the recording there, then run again",
            )
        value = read(self.store, path)
        if isinstance(value, SourceFile):  # perhaps a copy: one is enough, also for a retry
            self._files.append(value.path)
            self._sources[pattern, read] = value
        elif pattern in self.shared and _is_unchangeable(value):
            self._sources[pattern, read] = value
        return value

    def forget_files(self) -> None:
        """Remove the copies of sources that were made for it."""
        for path in self._files:
            forget_file(path)
        self._files.clear()

    def _loaded(self, name: str, codec: OutputCodec, path: str) -> object:
        data = self._stored.get(name)
        if data is None:
            data = self._stored[name] = self._get(name, path)
        value = codec.load(data, where=path)
        if _is_unchangeable(value):
            self._values[name] = value
        return value

    def _get(self, name: str, path: str) -> bytes:
        try:
            return _as_bytes(self.store, path)
        except ObjectNotFoundError as error:
            raise EntityError(
                "the ledger says it is stored, but it is not there",
                where=path,
                fix=f"compute '{name}' again with force",
            ) from error


def _is_unchangeable(value: object) -> bool:
    if isinstance(value, np.ndarray):
        return not value.flags.writeable
    return isinstance(value, AudioClip | str | bytes | int | float | bool | None)


def one_line(error: BaseException) -> str:
    """An exception's message as one line of bounded length."""
    try:
        text = str(error) or type(error).__name__
    except Exception:  # noqa: BLE001 - the user's own __str__ may raise anything
        text = type(error).__name__
    line = " ".join(text.split())
    return line if len(line) <= 500 else f"{line[:497]}..."
