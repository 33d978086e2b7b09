"""A claim as it is written down: who holds what, and which of two goes first."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from klio_dagster.errors import ConfigError
from klio_dagster.store.objects import ObjectInfo
from klio_dagster.store.processes import Process


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What one group of one run holds.

    Args:
        work_id: names the folders of this work in the store: the run's id, with the group's name
            where a run computes several groups.
        run_id: Dagster's id of the run.
        generation: tells this claim from another one of the same work.
        created: seconds since 1970 by the store's clock; later than all claims there were, also
            where that clock was set back since they were written.
        assets: keys of the assets it computes, their parts joined by `/`.
        manifest: path in the store of what it was asked to do; None until it has planned.
        launcher: the process that started the work and keeps the claim alive.
        engine: what executes the run's job.
        job_id: the job at a remote service; None for local engines.
        seen: where the newest event of the assets stood in the ledger when it was opened: what this
            work finishes is newer, whatever the clocks say.
        outbox: name of the group whose entities have to be passed on once they are recorded; empty
            where nobody is told, or where a batch of the inbox sees to it.
    """

    work_id: str
    run_id: str
    generation: str
    created: float
    assets: tuple[str, ...]
    manifest: str | None
    launcher: Process
    engine: str
    job_id: str | None
    seen: int = 0
    outbox: str = ""

    @property
    def is_remote(self) -> bool:
        """A job elsewhere works for it, and may go on without its launcher."""
        return self.engine != "local"


@dataclass(frozen=True, slots=True)
class ClaimState:
    """A claim somebody wrote, and whether its run lives.

    Args:
        claim: what is held.
        is_alive: whether it still counts.
        why: what that was concluded from, for messages.
        is_orphaned: its launcher is gone, and its job may go on.
    """

    claim: Claim
    is_alive: bool
    why: str
    is_orphaned: bool = False


def goes_before(one: Claim, other: Claim) -> bool:
    """Whether of two claims on one entity the first one computes it."""
    return order(one) < order(other)


def order(claim: Claim) -> tuple[float, str]:
    """Claims go in this order."""
    return claim.created, claim.work_id


def encoded(claim: Claim) -> bytes:
    """The claim as the content of its object."""
    return json.dumps(asdict(claim), indent=1).encode()


def parsed(data: bytes, info: ObjectInfo, uri: str) -> Claim:
    """The claim that an object holds.

    Args:
        data: its content.
        info: when it was written.
        uri: where it is, for messages.

    Raises:
        ConfigError: it holds none that this version can read.
    """
    try:
        fields: dict[str, Any] = json.loads(data)
        fields["assets"] = tuple(fields["assets"])
        fields["launcher"] = Process(**fields["launcher"])
        fields["created"] = fields["created"] or info.modified.timestamp()
        claim = Claim(**fields)
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(
            "it is no claim that this version can read",
            where=f"claim {uri}",
            fix="use the version that wrote it, or remove it once that run has ended",
        ) from error
    return claim
