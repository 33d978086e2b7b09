"""What becomes of a message's payload once its work is done: Klio's rules."""

from collections.abc import Sized
from dataclasses import replace

from klio_dagster.errors import EntityError
from klio_dagster.message.message import Message


def with_payload(message: Message, value: object = None, *, received: object = None) -> Message:
    """The message after a transform: with what it returned as the payload, or with none.

    Version 1 keeps its payload, whatever is returned.

    Args:
        message: as the transform received it.
        value: what it returned: bytes, or text, which becomes UTF-8. None, zero, what is empty, and
            what it had received clear the payload.
        received: what it was given.

    Raises:
        EntityError: it returned anything else.
    """
    if message.version == 1:
        return message
    if value is None or value is received or _is_empty(value):
        return replace(message, payload=b"")
    problem = f"the payload is of type {type(value).__name__}"
    if isinstance(value, bytes):
        return replace(message, payload=value)
    if isinstance(value, str):
        try:
            return replace(message, payload=value.encode())
        except UnicodeEncodeError:
            problem = "the payload is not valid Unicode"
    where = f"message of entity {message.entity_id!r}"
    raise EntityError(problem, where=where, fix="return bytes, text or nothing")


def _is_empty(value: object) -> bool:
    """False in Python's sense; an array is asked for its length, for it has no such sense."""
    if isinstance(value, Sized):
        return len(value) == 0
    return isinstance(value, int | float) and value == 0
