"""A bucket's client: obstore's, with bounded retries, and large objects in pieces."""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from itertools import pairwise
from random import random
from typing import Any, cast

import obstore
from obstore import exceptions
from obstore.store import AzureStore, GCSStore, LocalStore, MemoryStore, S3Store

from klio_dagster.core.backoff import Backoff
from klio_dagster.errors import ConfigError
from klio_dagster.store.failures import REFUSED

RemoteClient = AzureStore | GCSStore | S3Store

# A claim that was not touched for 60 s is dead: a store that does not answer for so long has cost
# the run its entities anyway. After 30 s comes a request's last try, with a limit of its own.
_RETRY_TIMEOUT_S = 30.0
_MAX_RETRIES = 20  # with jitter, 8 of them are over in 2 to 5 s
_BACKOFF = {
    "init_backoff": timedelta(milliseconds=100),
    "max_backoff": timedelta(seconds=5),
    "base": 2,
}
# No request moves more than this, so a limit of 30 s for each is one on a line of 2 Mbit/s, too.
PIECE_BYTES = 8 << 20
_AT_ONCE = 4

_BROKE_OFF = "response body"  # obstore has no class for it
_MOST_BROKEN = 6  # one after the other
_AFTER_BROKEN = Backoff(first_s=0.1, factor=2.0, longest_s=5.0)

_SECONDS = re.compile(r"(\d+(?:\.\d+)?) ?s?")
_IS_TRUE = frozenset({"1", "true", "yes", "on"})
# What makes obstore ask nobody for a token; its `skip_signature` asks the machine's identity still.
_NOBODY = {"disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}


def remote_client(url: str, options: Mapping[str, str]) -> RemoteClient:
    """A client of the bucket at `gs://…`, `s3://…` or `az://…`. Nobody is asked yet.

    Args:
        url: the store's, without credentials.
        options: obstore's settings and credentials, with `max_retries` and `retry_timeout` (in
            seconds) of ours.

    Raises:
        ConfigError: one of our options is no number.
        BaseError: obstore's, an option of its own is wrong.
    """
    scheme, _, rest = url.partition("://")
    bucket, _, prefix = rest.partition("/")
    config = dict(options)
    retry = {
        "max_retries": int(_number(config, "max_retries", _MAX_RETRIES)),
        "retry_timeout": timedelta(seconds=_number(config, "retry_timeout", _RETRY_TIMEOUT_S)),
        "backoff": _BACKOFF,
    }
    if scheme == "gs":
        config = _anonymous(config)
    # The options are text from a configuration; obstore checks them when they arrive.
    classes: dict[str, Callable[..., Any]] = {"gs": GCSStore, "s3": S3Store, "az": AzureStore}
    client = classes[scheme](bucket, prefix=prefix or None, config=config, retry_config=retry)
    return cast("RemoteClient", client)


def read_whole(client: RemoteClient | LocalStore | MemoryStore, key: str) -> bytes:
    """The bytes of an object; a large one in pieces, all of the same version.

    Raises:
        BaseError: obstore's.
    """
    got = obstore.get(client, key)
    size, tag = got.meta["size"], got.meta["e_tag"]
    if size <= PIECE_BYTES:
        return got.bytes().to_bytes()
    del got  # its connection with it
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        piece = partial(_piece, client, key, size, tag)
        return b"".join(threads.map(piece, range(0, size, PIECE_BYTES)))


def read_pieces(client: RemoteClient | LocalStore | MemoryStore, key: str) -> Iterator[bytes]:
    """The bytes of an object, piece by piece, all of the same version.

    Raises:
        BaseError: obstore's.
    """
    meta = obstore.head(client, key)
    for start in range(0, meta["size"], PIECE_BYTES):
        yield _piece(client, key, meta["size"], meta["e_tag"], start)


def head(client: RemoteClient | LocalStore | MemoryStore, key: str) -> "obstore.ObjectMeta":
    """Size and versions of an object.

    An answer to HEAD has no body, so S3 cannot say why it refuses one: that the session has
    expired, say, which the next object would meet as well. A GET of its first byte says it.

    Raises:
        BaseError: obstore's.
    """
    try:
        return obstore.head(client, key)
    except exceptions.GenericError as error:
        if REFUSED in str(error):
            obstore.get_range(client, key, start=0, length=1)
        raise


def list_pages(
    client: RemoteClient | LocalStore | MemoryStore, folder: str, after: str | None, size: int
) -> Iterator[Sequence["obstore.ObjectMeta"]]:
    """What lies below a folder, a request each, in the server's order.

    A page that breaks off is asked for again, which obstore does for objects only: its retries are
    over when an answer begins.

    Args:
        client: of a bucket.
        folder: without its slash; empty for all.
        after: only names behind this one; None for all.
        size: how many names a page has at most.

    Raises:
        BaseError: obstore's.
    """
    broken, is_ordered = 0, isinstance(client, GCSStore | S3Store)
    while True:
        # Strict typing would need arro3 installed, for a mode that is not used here.
        batches = obstore.list(  # pyright: ignore[reportUnknownMemberType]
            client, folder or None, offset=after, chunk_size=size
        )
        is_begun = False
        try:
            for page in batches:
                broken = 0
                yield page
                names = [after or "", *(each["path"] for each in page)]
                is_ordered = is_ordered and all(a < b for a, b in pairwise(names))
                is_begun, after = True, names[-1]
            return
        except exceptions.GenericError as error:
            # What comes behind a name is known only where names come in order.
            is_lost = is_begun and not is_ordered
            broken += 1
            if _BROKE_OFF not in str(error) or is_lost or broken > _MOST_BROKEN:
                raise
        time.sleep(_AFTER_BROKEN.wait_s(broken, dice=random()))  # noqa: S311 - jitter


def _piece(
    client: RemoteClient | LocalStore | MemoryStore,
    key: str,
    size: int,
    tag: str | None,
    start: int,
) -> bytes:
    wanted = (start, min(start + PIECE_BYTES, size))
    options: Any = {"range": wanted, **({"if_match": tag} if tag else {})}
    return obstore.get(client, key, options=options).bytes().to_bytes()


def _anonymous(config: dict[str, str]) -> dict[str, str]:
    names = [name for name in ("skip_signature", "google_skip_signature") if name in config]
    if not any(config[name].casefold() in _IS_TRUE for name in names):
        return config
    rest = {name: value for name, value in config.items() if name not in names}
    return {**rest, "service_account_key": json.dumps(_NOBODY)}


def _number(config: dict[str, str], name: str, default: float) -> float:
    """One of our own options, taken out of obstore's.

    Raises:
        ConfigError: it is no number.
    """
    text = config.pop(name, None)
    if text is None:
        return default
    match = _SECONDS.fullmatch(text.strip())
    if match is None:
        raise ConfigError(
            f"{text!r} is no number", where=f"store option {name!r}", fix="write it like 30"
        )
    return float(match[1])
