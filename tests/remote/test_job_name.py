"""A manifest's job has one name, whoever asks, which every service takes."""

import re
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from klio_dagster.core.manifest import Manifest
from klio_dagster.engine.remote.job import job_name

WORK_IDS = st.from_regex(r"[A-Za-z0-9_-]{1,100}", fullmatch=True)
DATAFLOW = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")


def manifest(work_id: str, at: float = 1.0) -> Manifest:
    """Of a work, written at some time."""
    head = Manifest(
        run=work_id, generation="g", store="/data", parts=(), chain=[], engine={"kind": "prism"}
    )
    return replace(head, clock=(at, at))


@given(WORK_IDS)
def test_dataflow_takes_the_name_of_every_work(work_id: str) -> None:
    assert DATAFLOW.fullmatch(job_name(manifest(work_id)))


@given(WORK_IDS, WORK_IDS)
def test_two_works_never_share_a_job(one: str, other: str) -> None:
    if one != other:
        assert job_name(manifest(one)) != job_name(manifest(other))


def test_people_find_a_run_by_its_id() -> None:
    run = "0b9f4c1e-6f0e-4f0f-9f5a-0a1b2c3d4e5f"

    assert job_name(manifest(run)).startswith(f"klio-{run}-")


def test_whoever_reads_the_manifest_has_the_same_name() -> None:
    written = manifest("run")

    assert job_name(Manifest.from_json(written.to_json())) == job_name(written)


def test_a_run_that_submits_twice_does_not_take_its_first_job_for_the_second() -> None:
    assert job_name(manifest("run", at=1.0)) != job_name(manifest("run", at=2.0))
