"""A write to a bucket that is seen in time, or never.

A request is tried again for half a minute and more, and others may have taken over by then what it
writes. So it is given up when its time is over, with the tries that are left. Of an object in parts
only the last step counts: before it nobody sees anything.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import cache
from threading import Thread

import obstore

from klio_dagster.store.clock import passed_s
from klio_dagster.store.objects import TimeLeft
from klio_dagster.store.remote import PIECE_BYTES, RemoteClient

_TRIES = 2
_PART_BYTES = 5 << 20  # no part of S3's may be smaller
_PARTS_AT_ONCE = 2  # and the last one are left when an upload is closed: 15 MB in 25 s or more
_LOOK_EVERY_S = 1.0  # a machine that slept finds out so much later, at most


class _TooLate(TimeoutError):
    """What was begun in time cannot be seen in time any more."""


def put_in_time(client: RemoteClient, key: str, data: bytes, left_s: TimeLeft) -> None:
    """Write or replace an object, unless that takes too long; twice.

    Args:
        client: of a bucket.
        key: of the object.
        data: its bytes.
        left_s: asked before it could be seen, in this thread; may wait.

    Raises:
        BaseError: obstore's.
        TimeoutError: it was not written.
    """
    for others in reversed(range(_TRIES)):
        try:
            _put(client, key, data, left_s)
        except _TooLate:
            if not others:
                raise
        else:
            return


def _put(client: RemoteClient, key: str, data: bytes, left_s: TimeLeft) -> None:
    left = left_s()
    if len(data) <= PIECE_BYTES:
        _finish(lambda: obstore.put_async(client, key, data, use_multipart=False), left)
        return
    writer = obstore.open_writer_async(
        client, key, buffer_size=_PART_BYTES, max_concurrency=_PARTS_AT_ONCE
    )
    for start in range(0, len(data), _PART_BYTES):
        part = data[start : start + _PART_BYTES]
        _finish(lambda part=part: writer.write(part))
    _finish(writer.close, left_s())


def _finish(begin: Callable[[], Awaitable[object]], left_s: float | None = None) -> None:
    """Wait in this thread for what another one does, and stop it once its time is over."""
    doing = asyncio.run_coroutine_threadsafe(_within(begin, left_s), _loop())
    try:
        doing.result()
    except BaseException:
        doing.cancel()
        raise


async def _within(begin: Callable[[], Awaitable[object]], left_s: float | None) -> None:
    end = float("inf") if left_s is None else passed_s() + left_s
    task = asyncio.ensure_future(begin())
    try:
        while not task.done():
            left = end - passed_s()
            if left <= 0:
                raise _TooLate(f"it was not written within {left_s:.0f} s")
            await asyncio.wait({task}, timeout=min(left, _LOOK_EVERY_S))
        task.result()
    finally:
        if not task.done():
            task.cancel()  # obstore stops at once and sends nothing more
            await asyncio.wait({task})


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """Of a thread of its own: that of the caller may have one already, in a notebook, say."""
    loop = asyncio.new_event_loop()
    Thread(target=loop.run_forever, name="klio-store", daemon=True).start()
    return loop
