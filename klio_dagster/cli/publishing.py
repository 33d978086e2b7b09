"""Ids that are all checked before the first is published, and publishing them in flat memory."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, Protocol

import click

from klio_dagster.cli.progress import Watch
from klio_dagster.core.ids import MAX_ID_BYTES, id_problem, printable
from klio_dagster.core.wording import counted
from klio_dagster.errors import ConfigError, PublishError, PubSubError
from klio_dagster.pubsub.publish import Outgoing

_AT_A_TIME = 4_000  # messages held at once; some batches for each of the publisher's threads
_MEMORY_BYTES = 1 << 20  # of ids; more of them wait in a file
_LINE_BYTES = 4_096  # of which an id may have 256
_SHOWN = 10  # of the refused ids
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass
class CheckedIds:
    """Entity ids that all obey the rules, in the order they were given.

    Args:
        count: how many.
        file: one a line.
    """

    count: int
    file: "SpooledTemporaryFile[bytes]"

    def __iter__(self) -> Iterator[str]:
        self.file.seek(0)
        for line in self.file:
            yield line[:-1].decode()


@dataclass
class Published:
    """How far publishing is."""

    total: int
    done: int = 0
    failed: int = 0

    def __str__(self) -> str:
        left = self.total - self.done - self.failed
        return f"{self.done} done, {self.failed} failed, {left} left of {self.total}"


class Publishes(Protocol):
    """What `Publisher` does."""

    def publish(self, topic: str, messages: Sequence[Outgoing]) -> None:
        """Publish all of them; PublishError carries those that were not."""
        ...


@contextmanager
def checked_ids(named: Iterable[str], file: BinaryIO | None) -> Iterator[CheckedIds]:
    """The ids of the command line and of a file, once all are known to be good.

    Args:
        named: on the command line.
        file: ids, one a line; read once and to its end, so it may be a pipe.

    Raises:
        UsageError: there are none.
        ConfigError: the file has none, or some break the rules.
    """
    with SpooledTemporaryFile(_MEMORY_BYTES) as kept:
        count, refused = 0, 0
        shown: list[str] = []
        for where, given in _given(named, file):
            problem = _problem(given)
            if problem is None:
                count += 1
                kept.write(given + b"\n")
            else:
                refused += 1
                shown += [f"{where}: {problem}"] if refused <= _SHOWN else []
        if refused:
            refusal = _refusal(refused, shown, file)
            raise refusal
        if not count and file is None:
            raise click.UsageError("no ids; name them or use --from-file")
        if not count and file is not None:
            raise ConfigError(
                "there is no id in it", where=f"file '{file.name}'", fix="one id a line"
            )
        yield CheckedIds(count, kept)


def published(
    publisher: Publishes,
    topic: str,
    ids: CheckedIds,
    data_of: Callable[[str], bytes],
    watch: Watch,
) -> Iterator[tuple[str, PubSubError]]:
    """Publish a message for each id, and give the ids of those that were not, with the reason.

    Where none of thousands is taken, the topic or the server is gone: the rest is not tried.

    Args:
        publisher: publishes some at a time.
        topic: full path.
        ids: all of them.
        data_of: the message about an entity.
        watch: told how far it is.

    Raises:
        PublishError: none was published.
    """
    progress, stopped = Published(ids.count), None
    for some in _in_pieces(ids, _AT_A_TIME):
        failed: dict[int, PubSubError] = {}
        if stopped is not None:
            failed = dict.fromkeys(range(len(some)), stopped)
        else:
            try:
                publisher.publish(topic, [Outgoing(data_of(entity)) for entity in some])
            except PublishError as error:
                failed = error.failed
                if len(failed) == len(some) and not progress.done:
                    raise
                if len(failed) == len(some):
                    stopped = failed[0]
        progress.done += len(some) - len(failed)
        progress.failed += len(failed)
        watch(progress)
        yield from ((some[at], failed[at]) for at in sorted(failed))


def _given(named: Iterable[str], file: BinaryIO | None) -> Iterator[tuple[str, bytes]]:
    """Each id with where it stands; empty lines count for nothing."""
    for entity in named:
        yield printable(entity), entity.encode(errors="surrogatepass")
    number, is_new = 0, True
    while file is not None and (line := file.readline(_LINE_BYTES)):
        number += is_new
        is_first, is_new = is_new, line.endswith(b"\n")
        if number == 1 and is_first:
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if is_first and line.strip():  # else the rest of a line that is far too long
            yield f"line {number}", line.rstrip(b"\r\n")


def _problem(given: bytes) -> str | None:
    if len(given) > MAX_ID_BYTES:
        return f"it has more than {MAX_ID_BYTES} bytes of UTF-8"
    try:
        return id_problem(given.decode())
    except UnicodeDecodeError:
        return "it is not UTF-8"


def _refusal(number: int, shown: Sequence[str], file: BinaryIO | None) -> ConfigError:
    """Why nothing is published.

    Args:
        number: of refused ids.
        shown: where the first of them stand, and what is wrong with them.
        file: where ids came from beside the command line.
    """
    more = f", and {number - len(shown):,} more" if number > len(shown) else ""
    refused = counted(number, "id is refused", "ids are refused")
    return ConfigError(
        f"{refused} ({', '.join(shown)}{more})",
        where="klio message publish" if file is None else f"file '{file.name}'",
        fix="mend what is refused; nothing was published",
    )


def _in_pieces(ids: Iterable[str], size: int) -> Iterator[list[str]]:
    each = iter(ids)
    while some := list(islice(each, size)):
        yield some
