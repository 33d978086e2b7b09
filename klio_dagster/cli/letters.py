"""A dead letter as text and as JSON."""

import json
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import click

from klio_dagster.core.ids import printable
from klio_dagster.core.place import cut
from klio_dagster.streaming.dead_letter import DeadLetter, Unreadable

_ID = 12  # characters that tell one of 100,000 from the others
_ENTITY = 32
_ERROR = 60
_TEXT = 2_000  # characters
_DUMPED = 256  # bytes
_A_LINE = 16
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
    width = max(map(len, facts))
    lines = [f"{name.ljust(width)}  {fact}" for name, fact in facts.items()]
    size = f"{len(letter.data):,} bytes"
    shown = [f"  {line}" for line in _shown(letter.data)]
    return "\n".join([click.style(found.id, bold=True), *lines, "", size, *shown])


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


def _entity(entity: str | None, most: int) -> str:
    return "-" if entity is None else cut(printable(entity), most)


def _when(at: float, form: str = "%Y-%m-%d %H:%M:%S %Z") -> str:
    return datetime.fromtimestamp(at).astimezone().strftime(form)


def _age(seconds: float) -> str:
    """How long, in its largest unit."""
    return next((f"{seconds // size:.0f} {unit}" for size, unit in _AGES if seconds >= size), "0 s")
