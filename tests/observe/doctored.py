"""What a doctor's check finds, by what was looked at."""

from collections.abc import Iterable, Iterator, Mapping

from klio_dagster.observe.doctor.examine import Check, examine
from klio_dagster.observe.doctor.finding import About, Finding, Verdict
from klio_dagster.observe.doctor.stores import look_at_store
from klio_dagster.observe.doctor.trial import Measured
from klio_dagster.store.store import Store


def store_findings(store: Store, within_s: float = 30.0) -> list[Finding]:
    check = Check(About("store", store.url), "access", lambda: look_at_store(store, Measured()))
    return list(examine([check], within_s=within_s).findings)


def verdicts(findings: Iterable[Finding]) -> Mapping[str, str]:
    """The worst verdict of each thing."""
    order = list(Verdict)
    found: dict[str, Verdict] = {}
    for each in findings:
        found[each.what] = max(found.get(each.what, Verdict.OK), each.verdict, key=order.index)
    return {what: verdict.value for what, verdict in found.items()}


def of(findings: Iterable[Finding], what: str) -> Finding:
    """The worst finding of one thing."""
    order = list(Verdict)
    return max(
        (each for each in findings if each.what == what), key=lambda each: order.index(each.verdict)
    )


def not_ok(findings: Iterable[Finding]) -> Iterator[str]:
    return (each.what for each in findings if each.verdict is not Verdict.OK)
