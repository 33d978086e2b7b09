"""Hypothesis strategies that several rooms' tests share."""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from klio_dagster.codecs.json import Json
from klio_dagster.core.asset import EntityAsset, EntityStep
from klio_dagster.core.check import Evaluation
from klio_dagster.core.fold import as_record
from klio_dagster.core.graph import Chain
from klio_dagster.core.ids import escape, id_problem
from klio_dagster.core.job import JobId, UpstreamTrigger
from klio_dagster.core.output import Column
from klio_dagster.core.plan import Decision, Knowledge, Plan, plan
from klio_dagster.core.receipt import Failure, Receipt
from klio_dagster.core.record import Record, Records
from klio_dagster.core.request import Request, RerunOn

HOSTILE_IDS = (
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    "C:\\Windows",
    ".hidden",
    "trailing.",
    "a..b",
    " leading and trailing ",
    "a/b//c/",
    "%2e%2e%2f",
    "take#1",
    "a+/b",
    "{entity}",
    "*",
    "~root",
    "$HOME `id` 'quoted' \"twice\"",
    "TRACK",
    "İstanbul",
    "Straße",
    "ﬁlm",
    "K",  # KELVIN SIGN, which folds to k
    "é",
    "e\u0301",
    "日本語",
    "🎧",
    "A" * 256,
    "a" * 256,
    "é" * 128,
    "." + "a." * 100,
    "a" * 199 + "." + "b" * 56,
)


def _is_allowed(entity_id: str) -> bool:
    return id_problem(entity_id) is None


entity_ids = st.one_of(
    st.sampled_from(HOSTILE_IDS),
    st.from_regex(r"[a-z0-9_.-]{1,40}", fullmatch=True),
    st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=64),
    st.text("aA.%2F+/é #", min_size=1, max_size=256),
).filter(_is_allowed)
"""Ids we accept, hostile ones often among them."""

_LOOKALIKES: tuple[Callable[[str], str], ...] = (
    str.lower,
    str.upper,
    str.swapcase,
    str.casefold,
    str.strip,
    escape,
    lambda s: unicodedata.normalize("NFC", s),
    lambda s: unicodedata.normalize("NFD", s),
    lambda s: unicodedata.normalize("NFKC", s),
    lambda s: unicodedata.normalize("NFKD", s),
    lambda s: s.replace("/", ""),
    lambda s: s + ".",
    lambda s: s + "+",
)

lookalike_ids = (
    st.tuples(entity_ids, st.sampled_from(_LOOKALIKES))
    .map(lambda pair: (pair[0], pair[1](pair[0])))
    .filter(lambda pair: pair[0] != pair[1] and _is_allowed(pair[1]))
)
"""Two different ids that a careless escaping would give one path."""


# ------------------------------------------------------------------ receipts

texts = st.text(st.characters(), max_size=30)
"""Any text at all, lone surrogates too: an exception's message may hold them."""

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda values: st.lists(values, max_size=3) | st.dictionaries(texts, values, max_size=3),
    max_leaves=6,
)

_times = st.floats(0, 4e9)

failures = st.builds(Failure, type=texts, message=texts, traceback=texts, transient=st.booleans())


evaluations = st.builds(
    Evaluation,
    check=st.from_regex(r"[a-z_]{1,12}", fullmatch=True),
    passed=st.booleans(),
    severity=st.sampled_from(["blocking", "warn"]),
    description=texts,
    metadata=st.dictionaries(texts, texts | st.integers() | st.booleans(), max_size=2),
)

_columns = st.builds(
    Column,
    name=texts,
    type=texts,
    description=texts,
    nullable=st.booleans(),
    unique=st.booleans(),
    constraints=st.lists(texts, max_size=2).map(tuple),
)


@st.composite
def receipts(draw: st.DrawFn) -> Receipt:
    """Receipts of good and failed attempts; a failed one names no output."""
    common: dict[str, Any] = {
        "run": draw(st.uuids().map(str)),
        "attempt": draw(st.integers(1, 3)),
        "entity": draw(entity_ids),
        "asset": draw(texts),
        "code_version": draw(texts),
        "inputs": draw(st.dictionaries(texts, texts, max_size=3)),
        "started_at": draw(_times),
        "finished_at": draw(_times),
        "cpu_s": draw(st.floats(0, 1e6)),
        "checks": tuple(draw(st.lists(evaluations, max_size=2))),
        "earlier": tuple(draw(st.lists(texts, max_size=2))),
        "notes": tuple(draw(st.lists(texts, max_size=2))),
    }
    if draw(st.booleans()):
        return Receipt(**common, failure=draw(failures))
    return Receipt(
        **common,
        uri=draw(texts),
        size=draw(st.integers(0, 2**40)),
        data_version=draw(texts),
        codec=draw(st.dictionaries(texts, json_values, max_size=2)),
        metadata=draw(st.dictionaries(texts, texts | st.integers() | st.booleans(), max_size=3)),
        figures=draw(st.dictionaries(texts, st.binary(max_size=40), max_size=2)),
        columns=tuple(draw(st.lists(_columns, max_size=2))),
        is_look=draw(st.booleans()),
    )


# ------------------------------------------------------------------ situations a plan meets


@dataclass(frozen=True)
class OutsideKey:
    """What the core sees of `dg.AssetKey`: it has a path."""

    path: Sequence[str]


def from_inputs(entity: object, **inputs: object) -> object:
    """A transform that takes whatever its asset depends on."""
    return sorted(inputs)


def from_source(entity: object, source: bytes, **inputs: object) -> object:
    """The same with an external input."""
    return [len(source), *sorted(inputs)]


PATTERN, OTHER, SHARED = "tracks/{entity}.flac", "other/labels", "config/genres"
MAKER = UpstreamTrigger(JobId("p", "maker"), "projects/p/topics/maker")
_VERSIONS = ("1", "2")
_ENTITIES = ("t1", "t2", "b...d")


@dataclass(frozen=True)
class Situation:
    """Everything a plan is made from."""

    chain: Chain
    selected: frozenset[str]
    request: Request
    knowledge: Knowledge

    def plan(self) -> Plan:
        return plan(self.request, self.chain, self.selected, self.knowledge)

    def asked_for(self, entities: Sequence[str]) -> "Situation":
        return replace(self, request=replace(self.request, entities=tuple(entities)))

    def carried_out(self, planned: Plan) -> "Situation":
        """What is known when all that was planned is done, each output a new one."""
        known = self.knowledge
        records = {asset: dict(by_entity) for asset, by_entity in known.records.items()}
        for asset in planned.assets:
            for entity, (decision, reason) in planned.verdicts[asset].items():
                receipt = Receipt(
                    run="r",
                    entity=entity,
                    asset=asset,
                    finished_at=2.0,
                    data_version="new",
                    code_version=known.code_versions[asset],
                    inputs=self._input_versions(asset, entity, records),
                    failure=Failure(reason, "") if decision is Decision.FAIL else None,
                )
                if decision in (Decision.RUN, Decision.FAIL):
                    by_entity = records.setdefault(asset, {})
                    by_entity[entity] = as_record(receipt, by_entity.get(entity))
        ran = {(asset, entity) for asset, entity, _ in planned.pairs(Decision.RUN)}
        gone = frozenset(known.gone) - ran
        return replace(self, knowledge=replace(known, records=records, gone=gone))

    def _input_versions(self, asset: str, entity: str, records: Records) -> Mapping[str, str]:
        inputs = self.chain.inputs(asset)
        found = {p: self.knowledge.sources.get(p, {}).get(entity) for p in inputs.sources}
        for name in (*inputs.assets, *inputs.outside):
            record = records.get(name, {}).get(entity)
            if name == SHARED:
                found[name] = self.knowledge.shared_versions[SHARED]
            elif record is not None and record.materialized:
                found[name] = record.data_version or "unknown"
        return {self.knowledge.keys[name]: now for name, now in found.items() if now is not None}


@st.composite
def chains(draw: st.DrawFn) -> Chain:
    """Up to four assets and steps, each reading some of those before it, or from outside."""
    parts: list[EntityStep] = []
    for name in "abcd"[: draw(st.integers(1, 4))]:
        before = [part.name for part in parts]
        inside = draw(st.lists(st.sampled_from(before), unique=True)) if before else []
        outside = draw(st.sets(st.sampled_from([OTHER, SHARED]), max_size=1))
        deps = [*inside, *(OutsideKey(key.split("/")) for key in sorted(outside))]
        source = PATTERN if not deps or draw(st.booleans()) else None
        transform = from_source if source else from_inputs
        if name != "a" and draw(st.integers(0, 3)) == 0:
            parts.append(EntityStep(name, transform, source=source, deps=deps))
        else:
            upstream = MAKER if draw(st.booleans()) else None
            parts.append(
                EntityAsset(
                    name, transform, source=source, deps=deps, output=Json(), upstream=upstream
                )
            )
    return Chain(draw(st.permutations(parts)))


_all_records = st.integers(0, 2**12 - 1)


def _record(bits: int, inputs: Sequence[str]) -> Record | None:
    """One of all possible records; as one number: faster to draw than by field."""
    flag = [bits >> place & 1 for place in range(12)]
    if flag[0] and flag[1]:
        return None
    return Record(
        materialized=not flag[1],
        failed=bool(flag[2] and flag[3]),
        code_version=_VERSIONS[flag[4]],
        data_version=_VERSIONS[flag[5]] if not flag[6] else None,
        input_versions={key: _VERSIONS[bit] for key, bit in zip(inputs, flag[7:], strict=False)},
        timestamp=1.0,
    )


@st.composite
def situations(draw: st.DrawFn) -> Situation:
    """Any chain, any past, any request; few versions, so that finished work is often up to date."""
    chain = draw(chains())
    names = [asset.name for asset in chain.assets]
    keys = {name: f"audio/{name}" for name in names} | {PATTERN: "tracks"}
    keys |= {OTHER: OTHER, SHARED: SHARED}
    some = st.frozensets(st.sampled_from(_ENTITIES))
    pairs = st.frozensets(st.tuples(st.sampled_from(names), st.sampled_from(_ENTITIES)), max_size=3)
    version = st.sampled_from(_VERSIONS)

    def records(name: str) -> dict[str, Record]:
        inputs = chain.inputs(name) if name in names else None
        read = (*inputs.assets, *inputs.outside, *inputs.sources) if inputs else ()
        made = {e: _record(draw(_all_records), [keys[dep] for dep in read]) for e in _ENTITIES}
        return {entity: record for entity, record in made.items() if record is not None}

    return Situation(
        chain=chain,
        selected=draw(st.just(frozenset(names)) | st.frozensets(st.sampled_from(names))),
        request=Request(
            entities=draw(st.lists(st.sampled_from(_ENTITIES), unique=True)),
            force=draw(st.integers(0, 5)) == 0,
            forced=draw(st.just(frozenset[str]()) | some),
            pinged=draw(st.just(frozenset[str]()) | some),
            may_ask_upstream=draw(st.just(frozenset[str]()) | some),
            rerun_on=draw(st.frozensets(st.sampled_from(RerunOn))),
        ),
        knowledge=Knowledge(
            records={name: records(name) for name in (*names, OTHER)},
            code_versions={name: draw(version) for name in names},
            sources={PATTERN: draw(st.dictionaries(st.sampled_from(_ENTITIES), version))},
            shared_versions={SHARED: draw(version | st.none())},
            keys=keys,
            in_flight=draw(st.just(frozenset[tuple[str, str]]()) | pairs),
            gone=draw(st.just(frozenset[tuple[str, str]]()) | pairs),
        ),
    )
