"""A catalogue of tracks made by hand: what the ledger's tests record things for."""

import warnings
from collections.abc import Callable, Sequence
from uuid import uuid4

import dagster as dg

from klio_dagster.core.check import Evaluation
from klio_dagster.core.receipt import Failure, Receipt
from klio_dagster.defs.metadata import metadata_of
from klio_dagster.ledger.events import RunIdentity
from klio_dagster.ledger.ledger import BatchedLedger
from klio_dagster.ledger.public_path import PublicLedger

TRACKS = dg.DynamicPartitionsDefinition(name="tracks")
CHECK = "is_loud"
START = 1_790_000_000.0

LEDGERS = {
    "batched": lambda instance: BatchedLedger(instance, metadata_of),
    "public": lambda instance: PublicLedger(instance, None, metadata_of),
}


def new_run() -> RunIdentity:
    return RunIdentity(run_id=str(uuid4()), job_name="catalogue", step_key="track_audio")


def recording(entity: str, version: str = "r1", at: float = 1.0, **fields) -> Receipt:
    """A good receipt of `recording`, made from version s1 of its source."""
    fields = {"inputs": {"source": "s1"}, "code_version": "c1", "uri": f"/data/{entity}"} | fields
    return Receipt(
        run="r",
        entity=entity,
        asset="recording",
        data_version=version,
        started_at=START,
        finished_at=round(START + at, 6),
        **fields,
    )


def mel(entity: str, made_from: str = "r1", at: float = 2.0, **fields) -> Receipt:
    """A good receipt of `audio/mel`, made from a version of `recording`."""
    fields = {"data_version": "m1", "code_version": "c1"} | fields
    return Receipt(
        run="r",
        entity=entity,
        asset="audio/mel",
        inputs={"recording": made_from},
        started_at=START,
        finished_at=round(START + at, 6),
        **fields,
    )


def failed(
    entity: str,
    at: float = 3.0,
    asset: str = "recording",
    checks: Sequence[Evaluation] = (),
    **fields,
) -> Receipt:
    error = {"type": "ValueError", "message": "no audio in it", "traceback": "line 1\nline 2"}
    return Receipt(
        run="r",
        entity=entity,
        asset=asset,
        finished_at=round(START + at, 6),
        checks=checks,
        failure=Failure(**(error | fields)),
    )


def definitions(
    body: Callable[[dg.AssetExecutionContext], None] = lambda context: None,
    code_version: str = "c1",
) -> dg.Definitions:
    """source -> recording (with a check) -> audio/mel; `body` is what a run does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        check = dg.AssetCheckSpec(CHECK, asset="recording", partitions_def=TRACKS)
    source = dg.AssetSpec("source", partitions_def=TRACKS)

    @dg.multi_asset(
        specs=[
            dg.AssetSpec("recording", deps=["source"], code_version=code_version, skippable=True),
            dg.AssetSpec(
                dg.AssetKey(["audio", "mel"]),
                deps=["recording"],
                code_version="c1",
                skippable=True,
            ),
        ],
        partitions_def=TRACKS,
        check_specs=[check],
        can_subset=True,
    )
    def track_audio(context: dg.AssetExecutionContext):
        body(context)
        yield from ()

    return dg.Definitions(assets=[source, track_audio])
