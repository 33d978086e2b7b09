"""The decision table: for each (asset, entity) run, skip, wait, fail or refuse, and why."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from klio_dagster.core.asset import EntityAsset
from klio_dagster.core.graph import Chain
from klio_dagster.core.ids import id_problem
from klio_dagster.core.record import Record, Records
from klio_dagster.core.request import Request, RerunOn

PING = "ping"  # the reason of a skip: somebody wants it only passed on
INPUT_REQUESTED = "input_requested"  # the reason of a wait: for what another job makes
REMOVED = "removed"  # the reason of a refusal: the entity was taken down


class Decision(StrEnum):
    """What is done with one (asset, entity)."""

    RUN = "run"
    SKIP = "skip"
    WAIT = "wait"
    FAIL = "fail"
    REFUSE = "refuse"


class Verdict(NamedTuple):
    """A decision and its reason."""

    decision: Decision
    reason: str


class Facts(NamedTuple):
    """What the table asks about one (asset, entity)."""

    valid_id: bool
    pinged: bool
    in_flight: bool
    upstream_waits: bool
    upstream_fails: bool
    input_missing: bool
    forced: bool
    upstream_runs: bool
    materialized: bool
    failed: bool
    output_gone: bool
    code_changed: bool
    input_changed: bool
    removed: bool = False
    may_ask_upstream: bool = False

    @property
    def is_wanted(self) -> bool:
        """Rows 6 to 9 say run."""
        return any(applies(self) for verdict, applies in RULES if verdict.decision is Decision.RUN)


# First match wins; the order is the table of DESIGN 4.3.
RULES: Sequence[tuple[Verdict, Callable[[Facts], bool]]] = (
    (Verdict(Decision.REFUSE, "invalid_id"), lambda f: not f.valid_id),
    (Verdict(Decision.REFUSE, REMOVED), lambda f: f.removed),
    (Verdict(Decision.SKIP, PING), lambda f: f.pinged),
    (Verdict(Decision.WAIT, "in_flight"), lambda f: f.in_flight),
    (Verdict(Decision.WAIT, "upstream_waits"), lambda f: f.upstream_waits),
    (Verdict(Decision.FAIL, "upstream_failed"), lambda f: f.upstream_fails),
    (
        Verdict(Decision.WAIT, INPUT_REQUESTED),
        lambda f: f.input_missing and f.may_ask_upstream and f.is_wanted,
    ),
    (Verdict(Decision.FAIL, "input_missing"), lambda f: f.input_missing and f.is_wanted),
    (Verdict(Decision.RUN, "forced"), lambda f: f.forced),
    (Verdict(Decision.RUN, "upstream"), lambda f: f.upstream_runs),
    (Verdict(Decision.RUN, "missing"), lambda f: not f.materialized),
    (Verdict(Decision.RUN, "failed"), lambda f: f.failed),
    (Verdict(Decision.RUN, "output_gone"), lambda f: f.output_gone),
    (Verdict(Decision.RUN, "code_changed"), lambda f: f.code_changed),
    (Verdict(Decision.RUN, "input_changed"), lambda f: f.input_changed),
    (Verdict(Decision.SKIP, "up_to_date"), lambda _: True),
)


def decide(facts: Facts) -> Verdict:
    """The first row of the table that applies."""
    return next(verdict for verdict, applies in RULES if applies(facts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """All that a plan is made from beside the request; names are those of the chain.

    Args:
        records: what the ledger knows, of the group's assets and of entity assets outside it.
        code_versions: of the group's assets now.
        sources: source pattern to entity id to the version of what lies there.
        shared_versions: data version of each unpartitioned asset outside the group; None if it
            was never materialised.
        keys: name in the chain (or source pattern) to asset key, as the ledger names inputs.
        in_flight: (asset, entity) pairs that a live claim before ours holds without a receipt.
        gone: pairs whose output was looked for and is not in the store.
        removed: entities that were taken down and are never computed again.
    """

    records: Records
    code_versions: Mapping[str, str]
    sources: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    shared_versions: Mapping[str, str | None] = field(default_factory=dict[str, str | None])
    keys: Mapping[str, str] = field(default_factory=dict[str, str])
    in_flight: Collection[tuple[str, str]] = frozenset()
    gone: Collection[tuple[str, str]] = frozenset()
    removed: Collection[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Plan:
    """A verdict for every selected asset of every entity asked for.

    Args:
        entities: in the order asked for.
        verdicts: asset to entity to verdict; assets upstream first.
    """

    entities: tuple[str, ...]
    verdicts: Mapping[str, Mapping[str, Verdict]]

    @property
    def assets(self) -> tuple[str, ...]:
        """The selected assets, upstream first."""
        return tuple(self.verdicts)

    def runs(self, entity: str) -> tuple[str, ...]:
        """The assets to compute for an entity, upstream first."""
        return tuple(
            asset
            for asset, verdicts in self.verdicts.items()
            if verdicts[entity].decision is Decision.RUN
        )

    def pairs(self, decision: Decision) -> Iterator[tuple[str, str, str]]:
        """(asset, entity, reason) of each pair so decided."""
        for asset, verdicts in self.verdicts.items():
            for entity, verdict in verdicts.items():
                if verdict.decision is decision:
                    yield asset, entity, verdict.reason

    def with_later(self, later: "Plan") -> "Plan":
        """The plan with the verdicts of a later one, where this one waits.

        Args:
            later: made when what it waited for had ended; of some of the assets and entities.
        """
        verdicts = {asset: dict(known) for asset, known in self.verdicts.items()}
        for asset, known in later.verdicts.items():
            for entity, verdict in known.items():
                if verdicts[asset][entity].decision is Decision.WAIT:
                    verdicts[asset][entity] = verdict
        return Plan(self.entities, verdicts)

    def waiting(self) -> dict[str, tuple[str, ...]]:
        """Entity to the assets that wait for another run, upstream first.

        Entities without any are left out; so are those whose input was asked for upstream, which
        no run of ours brings about.
        """
        requested = self.requested()
        waiting: dict[str, tuple[str, ...]] = {}
        for asset, entity, _ in self.pairs(Decision.WAIT):
            if entity not in requested:
                waiting[entity] = (*waiting.get(entity, ()), asset)
        return waiting

    def requested(self) -> dict[str, str]:
        """Entity to the first of its assets whose input is to be asked for upstream."""
        requested: dict[str, str] = {}
        for asset, entity, reason in self.pairs(Decision.WAIT):
            if reason == INPUT_REQUESTED:
                requested.setdefault(entity, asset)
        return requested

    def counts(self) -> dict[str, dict[str, dict[str, int]]]:
        """Asset to decision to reason to how many, every decision named."""
        counted = {asset: Counter(verdicts.values()) for asset, verdicts in self.verdicts.items()}
        return {
            asset: {
                decision.value: {
                    reason: number
                    for (decided, reason), number in sorted(counter.items())
                    if decided is decision
                }
                for decision in Decision
            }
            for asset, counter in counted.items()
        }


def plan(request: Request, chain: Chain, selected: Collection[str], knowledge: Knowledge) -> Plan:
    """Decides for every selected asset of every entity; a pure function, no I/O.

    Args:
        request: who is asked for.
        chain: the group.
        selected: names of the assets that may run; the others are only loaded.
        knowledge: what the ledger, the claims and the listings say.
    """
    verdicts: dict[str, dict[str, Verdict]] = {}
    refused = frozenset(entity for entity in request.entities if id_problem(entity))
    for asset in chain.assets:
        if asset.name in selected:
            verdicts[asset.name] = _decisions(request, refused, chain, asset, verdicts, knowledge)
    return Plan(tuple(request.entities), verdicts)


def _decisions(
    request: Request,
    refused: Collection[str],
    chain: Chain,
    asset: EntityAsset,
    decided: Mapping[str, Mapping[str, Verdict]],
    knowledge: Knowledge,
) -> dict[str, Verdict]:
    """The verdicts for one asset; what is the same for all entities is looked up once."""
    name = asset.name
    inputs = chain.inputs(name)
    upstream = [decided[dep] for dep in inputs.assets if dep in decided]
    versions = input_versions(chain, name, knowledge)
    required = [
        available
        for dep, available in versions.items()
        if dep not in decided and dep not in knowledge.shared_versions
    ]
    keys = knowledge.keys
    named = [(keys.get(dep, dep), version) for dep, version in versions.items()]
    can_ask_upstream = asset.upstream is not None
    records = knowledge.records.get(name, {})
    code_version = knowledge.code_versions[name]
    on_code = RerunOn.CODE in request.rerun_on
    on_input = RerunOn.INPUT in request.rerun_on
    never = Record(materialized=False, failed=False)

    def input_changed(entity: str, record: Record) -> bool:
        recorded = record.input_versions
        for key, version in named:
            now = version(entity)
            # An input that is gone is no news: finished work whose source has gone stays.
            if now is not None and recorded.get(key) != now:
                return True
        return False

    verdicts: dict[str, Verdict] = {}
    for entity in request.entities:
        record = records.get(entity, never)
        done = record.materialized
        above = [verdict[entity].decision for verdict in upstream]
        verdicts[entity] = decide(
            Facts(
                valid_id=entity not in refused,
                pinged=entity in request.pinged,
                in_flight=(name, entity) in knowledge.in_flight,
                upstream_waits=Decision.WAIT in above,
                upstream_fails=Decision.FAIL in above,
                input_missing=any(version(entity) is None for version in required),
                forced=request.force or entity in request.forced,
                upstream_runs=Decision.RUN in above,
                materialized=done,
                failed=record.failed,
                output_gone=done and (name, entity) in knowledge.gone,
                code_changed=done and on_code and record.code_version != code_version,
                input_changed=done and on_input and input_changed(entity, record),
                removed=entity in knowledge.removed,
                may_ask_upstream=can_ask_upstream and entity in request.may_ask_upstream,
            )
        )
    return verdicts


def input_versions(
    chain: Chain, name: str, knowledge: Knowledge
) -> dict[str, Callable[[str], str | None]]:
    """Each input of an asset to its version for an entity, None where there is no output."""
    inputs = chain.inputs(name)
    versions: dict[str, Callable[[str], str | None]] = {}
    for pattern in inputs.sources:
        versions[pattern] = knowledge.sources.get(pattern, {}).get
    for dep in (*inputs.assets, *inputs.outside):
        if dep in knowledge.shared_versions:
            versions[dep] = _shared_version(knowledge.shared_versions[dep])
        else:
            versions[dep] = _recorded_version(dep, knowledge)
    return versions


def _shared_version(known: str | None) -> Callable[[str], str | None]:
    return lambda _entity: known


def _recorded_version(name: str, knowledge: Knowledge) -> Callable[[str], str | None]:
    records = knowledge.records.get(name, {})

    def version(entity: str) -> str | None:
        record = records.get(entity)
        if record is None or not record.materialized or (name, entity) in knowledge.gone:
            return None
        # An output recorded by somebody else may have no data version; it is there all the same.
        return record.data_version or "unknown"

    return version
