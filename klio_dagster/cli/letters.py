"""A dead letter as text and as JSON."""

import json
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import click

from klio_dagster.core.ids import printable
from klio_dagster.core.letter import Letter
from klio_dagster.core.place import cut
from klio_dagster.errors import MessageError
from klio_dagster.message import JobId, Limited, Message, Recipients, decode
from klio_dagster.store.dead_letter import DeadLetter
from klio_dagster.streaming.dead_letter import Unreadable

_ID = 12  # characters that tell one of 100,000 from the others
_ENTITY = 32
_ERROR = 60
_TEXT = 2_000  # characters
_DUMPED = 256  # bytes
_A_LINE = 16
_NOBODY = JobId("nobody", "looks at it")  # decoding wants to know who received it
_AGES = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def row(head: Mapping[str, Any]) -> list[object]:
    """The cells of a dead letter in the list."""
    return [
        head["id"][:_ID],
        _when(head["at"], "%Y-%m-%d %H:%M"),
        cut(head["reason"], _ENTITY),
        _entity(head["entity"], _ENTITY),
        head["attempts"],
        cut(head["error"], _ERROR),
    ]


def print_heads(heads: Iterable[Mapping[str, Any]], wrong: Iterable[Unreadable]) -> None:
    """The one object of `list --json`, a head at a time: there may be many.

    Args:
        heads: of dead letters; printed as they come.
        wrong: what could not be read, complete once `heads` has ended.
    """
    click.echo('{"dead_letters": [', nl=False)
    for number, head in enumerate(heads):
        click.echo(f"{', ' if number else ''}{json.dumps(head)}", nl=False)
    told = [{"id": each.id, "path": each.path, "error": str(each.error)} for each in wrong]
    click.echo(f'], "unreadable": {json.dumps(told)}}}')


def to_json(found: DeadLetter) -> dict[str, Any]:
    """All that is known of it; the bytes in base64."""
    letter = found.letter
    return {
        **found.head(),
        "message_id": letter.message_id,
        "published_at": letter.published_at,
        "attributes": dict(letter.attributes),
        "data": b64encode(letter.data).decode(),
        "message": None if (message := _message(letter)) is None else _message_json(message),
    }


def described(found: DeadLetter, *, now: float) -> str:
    """All that is known of it, for people; the bytes as text if they are some, cut.

    Args:
        found: the dead letter.
        now: seconds since the epoch.
    """
    letter = found.letter
    facts = {
        "reason": cut(found.reason, _TEXT),
        "error": cut(found.error, _TEXT),
        "entity": _entity(found.entity, _TEXT),
        "group": found.group,
        "sensor": cut(found.sensor, _TEXT) or "-",
        "attempts": f"{found.attempts:,}",
        "given up": f"{_when(found.at)}, {_age(now - found.at)} ago",
    }
    if letter.message_id:
        facts["message id"] = cut(letter.message_id, _TEXT)
    if letter.published_at:
        facts["published"] = _when(letter.published_at)
    for name, value in sorted(letter.attributes.items()):
        facts[f"attribute {cut(name, _ENTITY)}"] = cut(value, _TEXT)
    parts = [[click.style(found.id, bold=True), *_aligned(facts)]]
    if (message := _message(letter)) is not None:
        is_klio = message.raw == letter.data
        parts.append(_aligned(_said(message, "Klio message" if is_klio else "passed on as")))
    parts.append([f"{len(letter.data):,} bytes", *(f"  {line}" for line in _shown(letter.data))])
    return "\n\n".join("\n".join(lines) for lines in parts)


def _aligned(facts: Mapping[str, str]) -> list[str]:
    width = max(map(len, facts))
    return [f"{name.ljust(width)}  {fact}" for name, fact in facts.items()]


def _message(letter: Letter) -> Message | None:
    """The Klio message it is, or is passed on as; None if it is none."""
    for data in (letter.data, letter.forward):
        with suppress(MessageError):
            return decode(data, job=_NOBODY)
    return None


def _said(message: Message, name: str) -> dict[str, str]:
    """What a message says."""
    flags = [f", {flag}" for flag in ("force", "ping") if getattr(message, flag)]
    said = {name: f"version {message.version}{''.join(flags)}", "of": _entity(message.entity_id)}
    match message.recipients:
        case None:
            said["for"] = "nobody"
        case Limited(recipients, until):
            back = f"; for anyone from {until} on" if until else ""
            said["for"] = cut(", ".join(map(str, recipients)) + back, _TEXT)
        case _:
            said["for"] = "anyone"
    if message.audit_log:
        path = " -> ".join(str(entry.job or "unknown") for entry in message.audit_log)
        said["went through"] = cut(path, _TEXT)
    if message.payload:
        said["payload"] = f"{len(message.payload):,} bytes"
    return said


def _message_json(message: Message) -> dict[str, Any]:
    to = message.recipients
    until = to.trigger_children_of if isinstance(to, Limited) else None
    return {
        "version": message.version,
        "entity_id": message.entity_id,
        "force": message.force,
        "ping": message.ping,
        "recipients": _recipients(to),
        "trigger_children_of": None if until is None else str(until),
        "audit_log": [
            {"job": None if entry.job is None else str(entry.job), "at": entry.at}
            for entry in message.audit_log
        ],
        "payload_bytes": len(message.payload),
    }


def _recipients(to: Recipients | None) -> list[str] | None:
    """The jobs it is for; null for anyone."""
    match to:
        case None:
            return []
        case Limited(recipients):
            return [str(job) for job in recipients]
        case _:
            return None


def _shown(data: bytes) -> Sequence[str]:
    """Bytes as lines of text, or of hexadecimal numbers where they are no text."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return _dump(data)
    if not all(line.isprintable() for line in text.replace("\t", " ").splitlines()):
        return _dump(data)
    lines = [cut(line, _TEXT) for line in text[:_TEXT].splitlines()]
    return [*lines, _more(len(text) - _TEXT, "characters")] if len(text) > _TEXT else lines


def _dump(data: bytes) -> Sequence[str]:
    def lines() -> Iterator[str]:
        for start in range(0, min(len(data), _DUMPED), _A_LINE):
            piece = data[start : start + _A_LINE][: _DUMPED - start]
            text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in piece)
            yield f"{start:04x}  {piece.hex(' ').ljust(3 * _A_LINE)} {text}"

    more = [_more(len(data) - _DUMPED, "bytes")] if len(data) > _DUMPED else []
    return [*lines(), *more]


def _more(number: int, what: str) -> str:
    return f"... and {number:,} {what} more: --raw prints all"


def _entity(entity: str | None, most: int = _TEXT) -> str:
    return "-" if entity is None else cut(printable(entity), most)


def _when(at: float, form: str = "%Y-%m-%d %H:%M:%S %Z") -> str:
    return datetime.fromtimestamp(at).astimezone().strftime(form)


def _age(seconds: float) -> str:
    """How long, in its largest unit."""
    return next((f"{seconds // size:.0f} {unit}" for size, unit in _AGES if seconds >= size), "0 s")
