"""What the page of `klio view` shows of one (asset, entity): values it may use as they are.

Metadata come from outside: whatever has not the form that it should have is left out, or text.
"""

import re
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from klio_dagster.core.receipt import UPSTREAM_FAILED
from klio_dagster.core.record import Attempt
from klio_dagster.core.state import State
from klio_dagster.ledger.provenance import CODE_VERSION, DATA_VERSION, input_versions
from klio_dagster.ledger.read import numbers_among
from klio_dagster.observe.view_index import BLOCKED

_PICTURE = re.compile(r"!\[[^\]]*\]\(data:image/png;base64,([A-Za-z0-9+/]+={0,2})\)")
_FENCED = re.compile(r"`{3,}[^\n]*\n(.*)\n`{3,}\s*", re.DOTALL)
_MOST_CHARACTERS = 400  # of one value
_OURS = ("uri", "codec")  # shown in a place of their own


def asset_of_row(attempts: Sequence[Attempt], *, is_stale: bool) -> dict[str, Any]:
    """What a line of the list shows of an asset.

    Args:
        attempts: the newest first.
        is_stale: a run would compute it anew.
    """
    made = _made(attempts)
    shown: dict[str, Any] = {"state": state_of(attempts, is_stale=is_stale)}
    if made:
        shown |= {
            "figures": figures_of(made.metadata),
            "numbers": numbers_among(made.metadata),
            "version": made.tags.get(DATA_VERSION, ""),
        }
    if attempts and attempts[0].failure and attempts[0].failure != UPSTREAM_FAILED:
        shown["error"] = _text(attempts[0].metadata.get("error", attempts[0].failure))
    return shown


def asset_of_page(attempts: Sequence[Attempt], *, is_stale: bool) -> dict[str, Any]:
    """All that is known of an asset of one entity."""
    made = _made(attempts)
    failed = attempts[0] if attempts and attempts[0].failure else None
    return {
        "state": state_of(attempts, is_stale=is_stale),
        "output": _output(made) if made else None,
        "failure": _failure(failed) if failed else None,
    }


def state_of(attempts: Sequence[Attempt], *, is_stale: bool) -> str:
    """Where an asset stands; a failed one may have an older output all the same."""
    if not attempts:
        return State.MISSING.value
    if attempts[0].failure is not None:
        return BLOCKED if attempts[0].failure == UPSTREAM_FAILED else State.FAILED.value
    return State.STALE.value if is_stale else State.MATERIALIZED.value


def figures_of(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Name to base64 of each picture: a PNG inside of the text, never one from elsewhere."""
    return {
        name: found[1]
        for name, value in metadata.items()
        if isinstance(value, str) and (found := _PICTURE.fullmatch(value))
    }


def _made(attempts: Sequence[Attempt]) -> Attempt | None:
    return next((attempt for attempt in attempts if attempt.failure is None), None)


def _output(made: Attempt) -> dict[str, Any]:
    codec, figures = made.metadata.get("codec"), figures_of(made.metadata)
    return {
        "timestamp": made.timestamp,
        "run_id": made.run_id,
        "code_version": made.tags.get(CODE_VERSION, ""),
        "version": made.tags.get(DATA_VERSION, ""),
        "inputs": input_versions(made.tags),
        "uri": _text(made.metadata.get("uri", "")),
        "codec": _text(codec.get("name", "")) if isinstance(codec, Mapping) else "",
        "figures": figures,
        "metadata": {
            name: _value(value)
            for name, value in made.metadata.items()
            if name not in figures and name not in _OURS
        },
    }


def _failure(failed: Attempt) -> dict[str, Any]:
    told = {name: _text(failed.metadata.get(name, ""), 20_000) for name in ("error", "reproduce")}
    traceback = _text(failed.metadata.get("traceback", ""), 20_000)
    fenced = _FENCED.fullmatch(traceback)
    return {
        "kind": failed.failure,
        "timestamp": failed.timestamp,
        "run_id": failed.run_id,
        **told,
        "traceback": fenced[1] if fenced else traceback,
    }


def _value(value: object) -> object:
    is_plain = isinstance(value, bool | int) or (isinstance(value, float) and isfinite(value))
    return value if is_plain else _text(value)  # JSON has no NaN


def _text(value: object, most: int = _MOST_CHARACTERS) -> str:
    text = str(value)
    return text if len(text) <= most else f"{text[:most]}…"
