"""What is worth asking for: work that is news, not what failed and would only fail again."""

from collections.abc import Callable
from dataclasses import dataclass

from klio_dagster.core.graph import Chain
from klio_dagster.core.plan import Decision, Knowledge, Plan, input_versions
from klio_dagster.core.receipt import UPSTREAM_FAILED
from klio_dagster.core.record import FailedAttempt


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """A plan of a whole catalogue, each entity counted once.

    Args:
        wanted: entities to ask for, in the plan's order.
        in_flight: a live run is computing something of them.
        failed: tried before, and neither code nor input has changed since.
        without_input: what they are computed from is not there.
        refused: their ids break the rules.
        up_to_date: the others.
    """

    wanted: tuple[str, ...]
    in_flight: int
    failed: int
    without_input: int
    refused: int
    up_to_date: int

    def __str__(self) -> str:
        counts = {
            "to compute": len(self.wanted),
            "in flight": self.in_flight,
            "failed before and unchanged since": self.failed,
            "without input": self.without_input,
            "with an id that is refused": self.refused,
        }
        told = [f"{number:,} {what}" for what, number in counts.items() if number]
        return ", ".join([f"{self.up_to_date:,} up to date", *told])


def news(plan: Plan, chain: Chain, knowledge: Knowledge) -> News:
    """What of a plan to ask for; a pure function, no I/O.

    Args:
        plan: of all entities of the catalogue, nothing forced.
        chain: the group.
        knowledge: what the plan was made from.
    """
    is_news = {name: _news_of(name, chain, knowledge) for name in plan.assets}
    refused = {entity for _, entity, _ in plan.pairs(Decision.REFUSE)}
    waiting = {entity for _, entity, _ in plan.pairs(Decision.WAIT)}
    fresh: set[str] = set()
    running: set[str] = set()
    for name, entity, reason in plan.pairs(Decision.RUN):
        running.add(entity)
        if entity not in fresh and entity not in waiting and is_news[name](entity, reason):
            fresh.add(entity)
    failed = running - fresh - waiting
    lacking = {entity for _, entity, _ in plan.pairs(Decision.FAIL)} - running - waiting
    return News(
        wanted=tuple(entity for entity in plan.entities if entity in fresh),
        in_flight=len(waiting),
        failed=len(failed),
        without_input=len(lacking),
        refused=len(refused),
        up_to_date=len(plan.entities) - len(fresh | waiting | failed | lacking | refused),
    )


def _news_of(name: str, chain: Chain, knowledge: Knowledge) -> Callable[[str, str], bool]:
    """Whether it is worth computing an asset of an entity that the plan runs for a reason."""
    records = knowledge.records.get(name, {})
    above = [knowledge.records.get(dep, {}) for dep in chain.inputs(name).assets]
    keys = knowledge.keys
    versions = {
        keys.get(dep, dep): version
        for dep, version in input_versions(chain, name, knowledge).items()
    }
    code_version = knowledge.code_versions[name]

    def has_changed(attempt: FailedAttempt, entity: str) -> bool:
        # What the attempt did not come to know of its inputs tells nothing.
        return attempt.code_version != code_version or any(
            version(entity) not in (None, attempt.input_versions[key])
            for key, version in versions.items()
            if key in attempt.input_versions
        )

    def is_news(entity: str, reason: str) -> bool:
        record = records.get(entity)
        attempt = record.attempt if record else None
        match attempt:
            case None:
                return reason != "upstream"  # then that is news, or not
            case FailedAttempt(kind="input_missing"):
                return True  # or the plan would fail it
            case FailedAttempt(kind=kind) if kind == UPSTREAM_FAILED:
                return not any(r.failed for records in above if (r := records.get(entity)))
            case _:
                return has_changed(attempt, entity)

    return is_news
