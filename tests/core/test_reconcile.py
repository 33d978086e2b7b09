"""What of a plan is worth asking for, and what failed and would only fail again."""

from dataclasses import replace

import pytest

from klio_dagster.core.plan import Knowledge
from klio_dagster.core.receipt import UPSTREAM_FAILED
from klio_dagster.core.reconcile import News, news
from klio_dagster.core.record import FailedAttempt, Record
from tests.core.test_plan import CHAIN, DONE, MEL, planned, with_record
from tests.strategies import PATTERN

TRIED = FailedAttempt("ValueError", "c1", {"audio/recording": "r1"})
NEVER = Record(materialized=False, failed=True)
LEFT = Record(False, True, attempt=FailedAttempt(UPSTREAM_FAILED, "c1"))


def found(knowledge: Knowledge, *entities: str) -> News:
    return news(planned(knowledge, entities=entities or ("one", "two")), CHAIN, knowledge)


def with_attempt(attempt: Attempt, before: Record = NEVER) -> Knowledge:
    """`mel` of one failed; what depends on it was left out."""
    knowledge = with_record("mel", "one", before._replace(failed=True, attempt=attempt))
    features = {**knowledge.records["features"], "one": LEFT}
    return replace(knowledge, records={**knowledge.records, "features": features})


def test_a_catalogue_that_is_up_to_date_has_no_news():
    assert str(found(DONE)) == "2 up to date"


@pytest.mark.parametrize(
    ("knowledge", "wanted"),
    [
        pytest.param(with_record("mel", "one", None), ("one",), id="never-made"),
        pytest.param(
            replace(DONE, sources={PATTERN: {"one": "s2", "two": "s1"}}),
            ("one",),
            id="recording-changed",
        ),
        pytest.param(
            replace(DONE, code_versions={**DONE.code_versions, "mel": "c2"}),
            ("one", "two"),
            id="code-changed",
        ),
        pytest.param(with_attempt(TRIED), (), id="failed-with-the-same"),
        pytest.param(with_attempt(TRIED, MEL), (), id="worked-once-and-failed-with-the-same"),
        pytest.param(
            with_attempt(TRIED._replace(code_version="c0")), ("one",), id="failed-with-other-code"
        ),
        pytest.param(
            with_attempt(TRIED._replace(input_versions={"audio/recording": "r0"})),
            ("one",),
            id="failed-with-another-recording",
        ),
        pytest.param(
            with_attempt(TRIED._replace(input_versions={})), (), id="killed-before-it-knew-inputs"
        ),
        pytest.param(
            with_attempt(FailedAttempt("input_missing", "c1")), ("one",), id="its-input-is-there-now"
        ),
        pytest.param(with_record("features", "one", LEFT), ("one",), id="its-upstream-is-mended"),
    ],
)
def test_news_is_what_a_run_could_change(knowledge: Knowledge, wanted: tuple[str, ...]):
    assert found(knowledge).wanted == wanted


def test_every_entity_is_counted_once():
    knowledge = with_attempt(TRIED)
    knowledge = replace(
        knowledge,
        sources={PATTERN: {**knowledge.sources[PATTERN], "new": "s1", "held": "s1"}},
        in_flight={("recording", "held")},
    )

    counted = found(knowledge, "one", "two", "new", "held", "absent", "a...b")

    assert counted == News(
        wanted=("new",), in_flight=1, failed=1, without_input=1, refused=1, up_to_date=1
    )
    assert str(counted) == (
        "1 up to date, 1 to compute, 1 in flight, 1 failed before and unchanged since,"
        " 1 without input, 1 with an id that is refused"
    )
