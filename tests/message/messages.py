"""Jobs, messages and Klio's vectors, for the tests of this room."""

import json
from pathlib import Path

from hypothesis import strategies as st

from klio_dagster.core.job import JobId
from klio_dagster.message import ANYONE, AuditEntry, Limited, Message
from tests.strategies import entity_ids

HERE = Path(__file__).parent
ME = JobId("test-project", "my-job")
PARENT = JobId("test-project", "parent-job")
OTHER = JobId("test-project", "other-job")
NAMESAKE = JobId("another-project", "my-job")
ENTITY = "s0m3_tr4ck_1d"

VECTORS = json.loads((HERE / "klio_vectors.json").read_text(encoding="utf-8"))
RAW_VECTORS = json.loads((HERE / "klio_vectors_raw.json").read_text(encoding="utf-8"))

names = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12)
jobs = st.sampled_from([ME, PARENT, OTHER, NAMESAKE]) | st.builds(JobId, names, names)
job_lists = st.lists(jobs, max_size=4).map(tuple)
times = st.integers(0, 4 * 10**15).map(lambda micros: micros * 1000 / 10**9)
audit_logs = st.lists(st.builds(AuditEntry, jobs | st.none(), times), max_size=3).map(tuple)


@st.composite
def messages(draw: st.DrawFn) -> Message:
    """Messages of both versions, all that each can say."""
    version = draw(st.sampled_from([1, 2]))
    recipients = st.just(ANYONE) | st.builds(Limited, job_lists.filter(bool))
    if version == 2:
        recipients |= st.none() | st.builds(Limited, job_lists, jobs | st.none())
    return Message(
        entity_id=draw(entity_ids),
        version=version,
        force=draw(st.booleans()),
        ping=draw(st.booleans()),
        recipients=draw(recipients),
        audit_log=draw(audit_logs),
        payload=draw(st.binary(max_size=20)),
    )
