"""What lies in a store: the claims of runs, of which some are dead, and what waits in it."""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from klio_dagster.observe.doctor.examine import Check, examine
from klio_dagster.observe.doctor.finding import About, Finding, Verdict
from klio_dagster.observe.doctor.store_state import look_at_contents
from klio_dagster.observe.doctor.stores import look_at_store
from klio_dagster.observe.doctor.trial import Measured
from klio_dagster.store.inbox import write_batch
from klio_dagster.store.layout import OUTBOX_PREFIX, claim_path
from klio_dagster.store.open_claim import open_claim
from klio_dagster.store.store import Store
from tests.observe.doctored import of, store_findings, verdicts
from tests.services.buckets import bucket_at
from tests.services.faults import Fault, FaultyProxy
from tests.services.gcs import GcsServer

ALIVE = {"alive": 1, "dead": 0, "orphaned": 0}


@pytest.fixture
def proxy(gcs: GcsServer) -> Iterator[FaultyProxy]:
    with FaultyProxy(gcs.url) as proxy:
        yield proxy


def claimed(store: Store, run_id: str, *, engine: str = "local", is_gone: bool = False) -> None:
    """A run of this machine that holds something; perhaps its launcher is gone."""
    open_claim(store, run_id, assets=["mel"])
    fields = json.loads(store.get(claim_path(run_id)))
    if is_gone:
        with subprocess.Popen(["/bin/true"]) as process:
            process.wait()
        fields["launcher"] |= {"pid": process.pid, "started": None}
    else:
        assert fields["launcher"]["pid"] == os.getpid()
    store.put(claim_path(run_id), json.dumps(fields | {"engine": engine}).encode())


def contents(store: Store, sensors: Sequence[str] = ()) -> Sequence[Finding]:
    """What is found after the store was looked at, as `klio doctor` does."""
    measured = Measured()

    def look() -> Iterator[Finding]:
        yield from look_at_store(store, measured)
        yield from look_at_contents(store, measured, sensors)

    return examine([Check(About("store", store.url), "access", look)], within_s=30).findings


def test_a_job_elsewhere_whose_launcher_is_gone_is_a_warning(tmp_path: Path):
    store = Store.open(str(tmp_path))
    claimed(store, "orphan", engine="dataflow", is_gone=True)
    claimed(store, "fine", engine="dataflow")

    found = of(contents(store), "claims")

    assert found.verdict is Verdict.WARN
    assert found.figures == {"alive": 1, "dead": 1, "orphaned": 1}
    assert "run orphan: " in found.said
    assert "1 job elsewhere may go on" in found.said
    assert "klio run" in found.remedy


def test_who_died_here_left_no_job_elsewhere(tmp_path: Path):
    store = Store.open(str(tmp_path))
    claimed(store, "dead", is_gone=True)

    found = of(contents(store), "claims")

    assert found.verdict is Verdict.WARN
    assert found.figures == {"alive": 0, "dead": 1, "orphaned": 0}
    assert "elsewhere" not in found.said


def test_a_run_at_work_is_fine(tmp_path: Path):
    store = Store.open(str(tmp_path))
    claimed(store, "fine")

    found = of(contents(store), "claims")

    assert (found.verdict, found.said, found.figures) == (Verdict.OK, "1 run at work", ALIVE)


def test_what_nobody_can_date_is_not_said_to_be_dead(proxy: FaultyProxy, gcs: GcsServer):
    gcs.buckets.offset_s = -3600.0  # to this machine's clock the claim is an hour old
    bucket = bucket_at("gs", proxy.url)
    claimed(bucket.store(), "elsewhere")
    path = claim_path("elsewhere")
    bucket.store().put(path, bucket.store().get(path).replace(b'"host": "', b'"host": "not-'))

    with proxy.broken(Fault(status=403, on="PUT POST DELETE")):
        closed = of(contents(bucket.store()), "claims")
    opened = of(contents(bucket.store()), "claims")

    assert closed.verdict is Verdict.WARN
    assert closed.said.startswith("not known")
    assert "died" not in closed.said
    assert (opened.verdict, opened.figures) == (Verdict.OK, ALIVE)


def test_a_folder_that_is_read_only_has_this_machines_clock(tmp_path: Path):
    store = Store.open(str(tmp_path))
    claimed(store, "dead", is_gone=True)

    (found, *_) = look_at_contents(store, Measured(), [])

    assert found.figures == {"alive": 0, "dead": 1, "orphaned": 0}


def test_a_claim_that_cannot_be_read_hides_nothing_else(tmp_path: Path):
    store = Store.open(str(tmp_path))
    store.put(claim_path("torn"), b"{")
    write_batch(store, "renamed", [])
    store.put(f"{OUTBOX_PREFIX}work/r1.jsonl", b"")

    found = contents(store, ["messages"])

    assert of(found, "claims").verdict is Verdict.FAIL
    assert "no claim that this version can read" in of(found, "claims").said
    assert "renamed" in of(found, "inbox").said
    assert of(found, "outbox").figures == {"files": 1}
    assert verdicts(found)["dead letters"] == "ok"


@pytest.mark.parametrize(
    ("status", "code", "remedy"),
    [(403, "RequestTimeTooSkewed", "clock"), (400, "ExpiredToken", "log in again")],
)
def test_who_is_not_let_in_any_more_is_not_told_to_grant_something(
    proxy: FaultyProxy, status: int, code: str, remedy: str
):
    with proxy.broken(Fault(status=status, code=code)):
        found = store_findings(bucket_at("s3", proxy.url).store())

    (failed,) = found  # nothing else would work either
    assert (failed.what, failed.verdict) == ("list", Verdict.FAIL)
    assert failed.said.endswith(f"{code}: injected")
    assert remedy in failed.remedy
    assert "s3:ListBucket" not in failed.remedy
