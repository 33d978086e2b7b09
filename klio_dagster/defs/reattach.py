"""Jobs whose launcher has died: watched to their end by the next run that wants what they compute.

The order of the durable steps; a kill at any of them repeats what comes after:

1. the claim names this process its launcher, and nobody else takes it;
2. what the job finishes is recorded under the run that had submitted it;
3. where the service knows of no job, the claim gets another generation and 55 s pass, after which
   nothing can be written for it any more;
4. that run is reported failed, and the claim is removed.
"""

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress

from klio_dagster.core.manifest import Manifest
from klio_dagster.core.receipt import Receipt
from klio_dagster.defs.job_log import JobLog
from klio_dagster.defs.listening import print_output, tell
from klio_dagster.defs.run import Run
from klio_dagster.engine.options import RemoteOptions, engine_options
from klio_dagster.engine.remote.follow import Following
from klio_dagster.engine.remote.told import Told
from klio_dagster.errors import (
    ClaimLostError,
    JobLeftError,
    KlioError,
    LedgerError,
    NoJobError,
    RunError,
)
from klio_dagster.ledger.events import RunIdentity
from klio_dagster.ledger.in_flight import held_pairs
from klio_dagster.ledger.resume import clear_one, fold_in
from klio_dagster.store.claim import ClaimState
from klio_dagster.store.claims import read_claims
from klio_dagster.store.heartbeat import Heartbeat
from klio_dagster.store.layout import claim_path
from klio_dagster.store.open_claim import WRITTEN_BY_S, OpenClaim, adopt
from klio_dagster.store.settling import settling

_HELD_S = 5.0  # what comes is recorded together


def settle_orphans(
    run: Run, waiting: Mapping[str, Collection[str]], states: Collection[ClaimState]
) -> frozenset[str]:
    """See to the jobs whose launchers have died.

    Those that have ended are recorded. One that goes on is watched to its end if this run waits
    for what it computes; else it is left to a run that does.

    Args:
        run: which has recorded all its own work.
        waiting: entity to the names of the assets that it waits for.
        states: of claims.

    Returns:
        The work ids of those that need no second look: they are settled, or nobody waits for what
        they compute.

    Raises:
        KlioError: the claim of this run is lost, or the ledger or the store do not work.
    """
    wanted = {(run.group.keys[name], entity) for entity, names in waiting.items() for name in names}
    asked = {state.claim.work_id for state in states if state.is_orphaned}
    if not asked:
        return frozenset()
    # Anew: what was seen when this run began may be hours old, and a launcher beat again.
    now = read_claims(run.store, ours=run.work_id)
    alive = {state.claim.run_id for state in now if not state.is_orphaned and state.is_alive}
    working = {run.context.run.run_id, *alive}
    return frozenset(
        state.claim.work_id
        for state in now
        if state.is_orphaned
        and state.claim.work_id in asked
        and Orphan(run, state, working).settle(wanted)
    )


class Orphan:
    """One claim whose launcher is gone.

    Args:
        run: the one that sees to it.
        state: of the claim.
        working: ids of the runs that are not to be reported failed.
        pause: waits for some seconds.
    """

    def __init__(
        self,
        run: Run,
        state: ClaimState,
        working: Collection[str],
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._run, self._state, self._working, self._pause = run, state, working, pause
        self._claim = state.claim
        self._identity = RunIdentity.of_run(run.context.instance, self._claim.run_id)
        self._held: list[Receipt] = []
        self._held_since = 0.0

    def settle(self, wanted: Collection[tuple[str, str]]) -> bool:
        """Record what its job has finished, if that has ended or is waited for.

        Args:
            wanted: asset keys and entities that the run waits for.

        Returns:
            Whether this run has no more to do about it: else nobody could say how its job is, or
            another run sees to it, and may give it up.

        Raises:
            ClaimLostError: the run's own claim is lost.
            KlioError: the store does not work.
            LedgerError: Dagster's log does not.
        """
        is_wanted = True
        try:
            is_wanted = self._is_wanted(wanted)
            if not is_wanted and self._goes_on():
                return True
            adopted = self._adopted()
        except KlioError as error:
            self._run.confirm()  # what is wrong with ours ends this run, and nothing else
            self._warn(error)
            return not is_wanted
        if adopted is None:  # another run was faster, or its launcher lives
            return False
        with Heartbeat(adopted) as heartbeat:
            try:
                self._to_its_end(adopted)
                heartbeat.confirm()
            except LedgerError:
                raise
            except KlioError as error:
                self._run.confirm()
                self._warn(error)
                with suppress(KlioError):  # else it is an orphan again once this process has ended
                    adopted.hand_back(self._claim.launcher)
                return False
            self._run.confirm()
        run = self._run
        with settling(run.store, self._claim.work_id) as is_ours:
            if is_ours:
                clear_one(run.store, run.ledger, run.context.instance, self._state, self._working)
        return True

    def _goes_on(self) -> bool:
        """Its job has not ended.

        Raises:
            KlioError: nobody can say.
        """
        manifest, options = self._manifest()
        if manifest is None or options is None:
            return False
        state = self._following(manifest, options, _ignore).peek(self._claim.job_id)
        if state is None or state.has_ended:
            return False
        self._run.context.log.info(f"{self._of()} goes on ({state})")
        return True

    def _adopted(self) -> OpenClaim | None:
        """Its claim in our hands; None where it is no orphan any more.

        Raises:
            KlioError: the store does not work.
        """
        store = self._run.store
        with settling(store, self._claim.work_id) as is_ours:
            # What was read when this run began may be hours old: its launcher may have come back,
            # and have submitted another job.
            states = read_claims(store, ours=self._run.work_id) if is_ours else []
            for state in states:
                if state.claim.work_id == self._claim.work_id and state.is_orphaned:
                    self._state, self._claim = state, state.claim
                    return adopt(store, state)
        return None

    def _to_its_end(self, adopted: OpenClaim) -> None:
        manifest, options = self._manifest()
        if manifest is None or options is None:  # it died before it had planned
            return
        line = f"watching {self._of()} to its end"
        self._run.context.log.info(line)
        tell.get()(line)
        told = JobLog(self._run.context, adopted, is_own=False)
        try:
            self._following(manifest, options, told.add).attach(self._claim.job_id)
        except NoJobError:
            adopted.revoke()
            self._pause(WRITTEN_BY_S)
        except (ClaimLostError, JobLeftError):
            raise
        except RunError as error:  # it has ended
            self._run.context.log.warning(f"{self._of()}: {error}")
        self._flush()

    def _following(
        self, manifest: Manifest, options: RemoteOptions, on_job: Callable[[Told], None]
    ) -> Following:
        return Following(
            manifest,
            self._run.store,
            options,
            on_receipts=self._record,
            on_output=print_output,
            on_job=on_job,
            is_ours=False,
        )

    def _manifest(self) -> tuple[Manifest | None, RemoteOptions | None]:
        """What its job carries out; nothing if it had not planned yet."""
        path = self._claim.manifest
        data = self._run.store.get_or_none(path) if path else None
        if data is None:
            return None, None
        manifest = Manifest.from_json(data)
        options = engine_options(manifest.engine)
        return manifest, options if isinstance(options, RemoteOptions) else None

    def _is_wanted(self, wanted: Collection[tuple[str, str]]) -> bool:
        entities = {entity for _, entity in wanted}
        held = held_pairs(self._run.store, self._claim, entities)
        return any(pair in wanted for pair in held)

    def _record(self, receipts: list[Receipt]) -> None:
        self._run.confirm()
        now = time.monotonic()
        if not self._held:
            self._held_since = now
        self._held += receipts
        if self._held and now - self._held_since >= _HELD_S:
            self._flush()

    def _flush(self) -> None:
        held, self._held = self._held, []
        fold_in(self._run.ledger, self._identity, self._claim, held)

    def _warn(self, error: KlioError) -> None:
        said = f"{self._of()}: {error}"
        if isinstance(error, JobLeftError):
            uri = self._run.store.uri(claim_path(self._claim.work_id))
            said += f"; if its service is gone for good, remove {uri}"
        self._run.context.log.warning(said)

    def _of(self) -> str:
        return f"the {self._claim.engine} job of run {self._claim.run_id}, whose launcher is gone,"


def _ignore(_told: Told) -> None:
    """Nothing of it is shown."""
