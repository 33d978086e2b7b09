"""A work's job has one name, whoever asks, which every service takes."""

import re

from hypothesis import given
from hypothesis import strategies as st

from klio_dagster.engine.remote.job import job_name

WORK_IDS = st.from_regex(r"[A-Za-z0-9_-]{1,100}", fullmatch=True)
DATAFLOW = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")


@given(WORK_IDS)
def test_dataflow_takes_the_name_of_every_work(work_id: str) -> None:
    assert DATAFLOW.fullmatch(job_name(work_id))


@given(WORK_IDS, WORK_IDS)
def test_two_works_never_share_a_job(one: str, other: str) -> None:
    if one != other:
        assert job_name(one) != job_name(other)


def test_people_find_a_run_by_its_id() -> None:
    run = "0b9f4c1e-6f0e-4f0f-9f5a-0a1b2c3d4e5f"

    assert job_name(run) == f"klio-{run}"
