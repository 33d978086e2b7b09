"""`Receipt`: what is written when one (asset, entity) has finished, as one JSON line."""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from klio_dagster.core.check import Evaluation, evaluation_from_json
from klio_dagster.core.output import Column, Scalar

SCHEMA = 1
UPSTREAM_FAILED = "upstream_failed"  # type of a `Failure`: the attempt was not made
_MOST_TRACEBACK_CHARACTERS = 20_000


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an attempt failed.

    Args:
        type: name of the exception, or of the signal, or the plan's reason.
        message: one line.
        traceback: of the user's code; empty where there is none.
        transient: would the same attempt succeed later?
        place: the line of the user's code that it was raised from, `beam_jobs/audio.py:41`; empty
            where there is none.
    """

    type: str
    message: str
    traceback: str = ""
    transient: bool = False
    place: str = ""

    @property
    def is_blocked(self) -> bool:
        """The attempt was not made because something it depends on failed."""
        return self.type == UPSTREAM_FAILED

    @classmethod
    def blocked_by(cls, cause: str) -> "Failure":
        """The attempt was not made because of what it depends on, by name."""
        return cls(UPSTREAM_FAILED, f"not computed because {cause} failed")

    def __str__(self) -> str:
        return f"{self.type}: {self.message}" + (f" ({self.place})" if self.place else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """One finished (asset, entity).

    Args:
        run: work id of the run it was computed for.
        attempt: 1 for the first try in that run.
        entity: entity id.
        asset: asset key, joined by `/`.
        uri: where the output lies; empty when the attempt failed.
        size: stored bytes.
        data_version: hash of the stored bytes.
        code_version: of the code that computed it.
        inputs: data version of each input by asset key.
        started_at: seconds since the epoch.
        finished_at: seconds since the epoch, to the microsecond.
        cpu_s: seconds of CPU.
        together: with how many entities it was computed in one call, itself included; the times are
            those of the call, `cpu_s` is this entity's part.
        codec: the output codec as JSON, with which others load the output.
        metadata: what the UI shows.
        figures: name to PNG bytes.
        checks: what the asset's checks found, also where it failed because of them.
        columns: of a table.
        is_look: the stored output was checked again: nothing was made, so it is no record.
        failure: why the last attempt failed; None when it did not.
        earlier: errors of the attempts before the last one, a line each.
        notes: what else there is to say of it, a line each.
    """

    run: str
    entity: str
    asset: str
    finished_at: float
    started_at: float = 0.0
    cpu_s: float = 0.0
    together: int = 1
    attempt: int = 1
    uri: str = ""
    size: int = 0
    data_version: str = ""
    code_version: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict[str, str])
    codec: Mapping[str, Any] = field(default_factory=dict[str, Any])
    metadata: Mapping[str, Scalar] = field(default_factory=dict[str, Scalar])
    figures: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    checks: Sequence[Evaluation] = ()
    columns: Sequence[Column] = ()
    is_look: bool = False
    failure: Failure | None = None
    earlier: Sequence[str] = ()
    notes: Sequence[str] = ()

    @property
    def attempts(self) -> int:
        """How often it was tried."""
        return len(self.earlier) + 1

    @property
    def status(self) -> Literal["ok", "failed"]:
        """`ok` or `failed`."""
        return "failed" if self.failure else "ok"

    @property
    def pair(self) -> tuple[str, str]:
        """(asset, entity)."""
        return (self.asset, self.entity)

    def to_line(self) -> bytes:
        """The receipt as one line of UTF-8 JSON, with its newline."""
        fields: dict[str, Any] = {
            "v": SCHEMA,
            "run": self.run,
            "attempt": self.attempt,
            "entity": self.entity,
            "asset": self.asset,
            "status": self.status,
            "code_version": self.code_version,
            "inputs": dict(self.inputs),
            "started_at": self.started_at,
            "finished_at": self.finished_at,
            "cpu_s": self.cpu_s,
        }
        if self.together > 1:
            fields["together"] = self.together
        if self.earlier:
            fields |= {"attempts": self.attempts, "earlier": list(self.earlier)}
        if self.notes:
            fields["notes"] = list(self.notes)
        if self.failure:
            fields["error"] = {
                "type": self.failure.type,
                "message": self.failure.message,
                "traceback": self.failure.traceback[-_MOST_TRACEBACK_CHARACTERS:],
                "transient": self.failure.transient,
            }
            if self.failure.place:
                fields["error"]["place"] = self.failure.place
        else:
            fields |= {
                "uri": self.uri,
                "size": self.size,
                "data_version": self.data_version,
                "codec": dict(self.codec),
                "metadata": dict(self.metadata),
            }
            if self.figures:
                figures = {name: b64encode(png).decode() for name, png in self.figures.items()}
                fields["figures"] = figures
            if self.columns:
                fields["columns"] = [column.to_json() for column in self.columns]
        if self.is_look:
            fields["look"] = True
        if self.checks:
            fields["checks"] = [evaluation.to_json() for evaluation in self.checks]
        return json.dumps(fields, separators=(",", ":")).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes | str) -> "Receipt":
        """The receipt that a line holds.

        Raises:
            ValueError: the line is torn or is not a receipt.
        """
        try:
            fields = cast("dict[str, Any]", json.loads(line))
            if fields["v"] != SCHEMA:
                raise ValueError(f"receipt of schema {fields['v']}, this version reads {SCHEMA}")
            error = fields.get("error")
            return cls(
                run=fields["run"],
                attempt=fields["attempt"],
                entity=fields["entity"],
                asset=fields["asset"],
                uri=fields.get("uri", ""),
                size=fields.get("size", 0),
                data_version=fields.get("data_version", ""),
                code_version=fields["code_version"],
                inputs=fields["inputs"],
                started_at=fields["started_at"],
                finished_at=fields["finished_at"],
                cpu_s=fields["cpu_s"],
                together=fields.get("together", 1),
                codec=fields.get("codec", {}),
                metadata=fields.get("metadata", {}),
                figures={n: b64decode(png) for n, png in fields.get("figures", {}).items()},
                checks=tuple(evaluation_from_json(each) for each in fields.get("checks", ())),
                columns=tuple(Column(**each) for each in fields.get("columns", ())),
                is_look=fields.get("look", False),
                failure=Failure(**error) if error else None,
                earlier=tuple(fields.get("earlier", ())),
                notes=tuple(fields.get("notes", ())),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a receipt: {error!r}") from error
