"""Stores as they are, and as they must not be: each fault is found, and nothing is left behind."""

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from klio_dagster.observe.doctor.finding import About, Verdict
from klio_dagster.observe.doctor.places import file_system, is_shared, store_file_system
from klio_dagster.store.layout import DOCTOR_PREFIX
from klio_dagster.store.store import Store
from tests.flows.disks import closed_to_writers
from tests.observe.doctored import not_ok, of, store_findings, verdicts
from tests.services.buckets import Bucket, bucket_at
from tests.services.faults import Fault, FaultyProxy
from tests.services.gcs import BUCKET, GcsServer, gcs_options
from tests.services.gcs_objects import Buckets

ALL = {"list", "create", "read", "create once", "overwrite", "clock", "speed", "delete"}


@pytest.fixture
def proxy(gcs: GcsServer) -> Iterator[FaultyProxy]:
    with FaultyProxy(gcs.url) as proxy:
        yield proxy


@pytest.fixture
def through(proxy: FaultyProxy) -> Bucket:
    return bucket_at("gs", proxy.url)


def test_a_bucket_that_keeps_its_promises_is_fine_and_as_it_was(bucket: Bucket):
    found = store_findings(bucket.store())

    assert list(not_ok(found)) == []
    assert set(verdicts(found)) == ALL
    assert of(found, "speed").figures.keys() == {"write_ms", "look_ms"}
    assert list(bucket.store().list()) == []


def test_a_folder_is_fine_and_is_not_even_made(tmp_path: Path):
    found = store_findings(Store.open(str(tmp_path / "not" / "there")))

    assert set(verdicts(found)) == {*ALL, "file system", "space"}
    assert [what for what in not_ok(found) if what not in ("space", "file system")] == []
    assert of(found, "space").figures["free_bytes"]
    assert list(tmp_path.iterdir()) == []


def test_what_lies_in_a_folder_stays(tmp_path: Path):
    (tmp_path / "mel").mkdir()
    (tmp_path / "mel" / "a.npy").write_bytes(b"1")

    store_findings(Store.open(str(tmp_path)))

    assert [str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*")] == ["mel", "mel/a.npy"]


def test_a_folder_that_is_closed_to_us_is_found(tmp_path: Path):
    folder = tmp_path / "data"
    folder.mkdir()

    with closed_to_writers(folder):
        found = store_findings(Store.open(str(folder)))

    assert of(found, "list").verdict is Verdict.OK
    failed = of(found, "create")
    assert failed.verdict is Verdict.FAIL
    assert failed.said.startswith("not permitted: ")
    assert "read and write" in failed.remedy


def test_a_server_that_ignores_preconditions_is_no_store(
    gcs: GcsServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(Buckets, "_check", staticmethod(lambda *_: None))

    found = store_findings(bucket_at("gs", gcs.url).store())

    assert list(not_ok(found)) == ["create once"]
    assert "that was there already" in of(found, "create once").said
    assert "two runs" in of(found, "create once").remedy
    assert gcs.names() == []


def test_a_server_that_refuses_what_is_new_is_no_store(proxy: FaultyProxy, through: Bucket):
    with proxy.broken(Fault(status=412, on="PUT POST", where="rival")):
        found = store_findings(through.store())

    assert list(not_ok(found)) == ["create once"]
    assert of(found, "create once").verdict is Verdict.FAIL
    assert "refused as if it were there" in of(found, "create once").said
    assert "no run can begin" in of(found, "create once").remedy


def test_an_answer_that_was_lost_is_no_refusal(proxy: FaultyProxy, through: Bucket):
    with proxy.broken(Fault(is_lost=True, on="PUT POST", where="rival", times=1)) as (lost,):
        found = store_findings(through.store())

    assert lost.met == 1
    assert list(not_ok(found)) == []


@pytest.mark.parametrize(
    ("fault", "remedy"),
    [
        pytest.param({"status": 403}, "storage.objects.create", id="not permitted"),
        pytest.param({"status": 503}, "check that it answers", id="down"),
        pytest.param({"is_lost": True}, "check that it answers", id="cut off"),
        pytest.param({"status": 403, "code": "ExpiredToken"}, "log in again", id="logged out"),
        pytest.param({"status": 501}, "If-None-Match", id="never heard of it"),
        pytest.param({"status": 400}, "If-None-Match", id="does not take it"),
    ],
)
def test_why_nothing_can_be_created_once_decides_what_helps(
    proxy: FaultyProxy, through: Bucket, fault: Mapping[str, Any], remedy: str
):
    with proxy.broken(Fault(on="PUT POST", where="/one$", after=1, times=20, **fault)):
        failed = of(store_findings(through.store()), "create once")

    assert failed.verdict is Verdict.FAIL
    assert remedy in failed.remedy
    assert ("If-None-Match" in failed.remedy) == ("If-None-Match" in remedy)


@pytest.mark.parametrize(("offset_s", "word"), [(3600.0, "ahead of"), (-3600.0, "behind")])
def test_a_clock_that_is_an_hour_off_is_told_and_harms_nothing(
    gcs: GcsServer, offset_s: float, word: str
):
    gcs.buckets.offset_s = offset_s

    found = store_findings(bucket_at("gs", gcs.url).store())

    assert list(not_ok(found)) == ["clock"]
    said = of(found, "clock")
    assert said.verdict is Verdict.WARN
    assert f" s {word} this machine" in said.said
    assert "NTP" in said.remedy
    assert abs(said.figures["clock_ahead_s"] - offset_s) < 5


def test_a_slow_server_is_told_with_its_figures(proxy: FaultyProxy, through: Bucket):
    proxy.latency_s = 0.3

    found = store_findings(through.store())

    assert list(not_ok(found)) == ["speed"]
    said = of(found, "speed")
    assert said.verdict is Verdict.WARN
    assert said.figures["write_ms"] > 300
    assert "same region" in said.remedy


@pytest.mark.parametrize(
    ("method", "failing", "needed"),
    [
        pytest.param("DELETE", "delete", "storage.objects.delete", id="may not delete"),
        pytest.param("PUT POST", "create", "storage.objects.create", id="may not write"),
    ],
)
def test_a_permission_that_lacks_is_named(
    proxy: FaultyProxy, through: Bucket, method: str, failing: str, needed: str
):
    # Objects are listed with GET and deleted with DELETE or a batch, both of which may be closed.
    with proxy.broken(Fault(status=403, on=method)):
        found = store_findings(through.store())

    assert failing in set(not_ok(found))
    assert needed in of(found, failing).remedy
    assert of(found, "list").verdict is Verdict.OK


def test_what_may_not_be_removed_is_said_to_be_left(
    gcs: GcsServer, proxy: FaultyProxy, through: Bucket
):
    with proxy.broken(Fault(status=403, on="DELETE")):
        found = store_findings(through.store())

    assert f"{through.url}/{DOCTOR_PREFIX}" in of(found, "delete").said
    assert gcs.names()


def test_wrong_keys_are_told_without_the_keys(s3: str):
    bucket = bucket_at("s3", s3)

    found = store_findings(bucket.store(secret_access_key="wrong-secret"))

    failed = of(found, "list")
    assert failed.verdict is Verdict.FAIL
    assert "s3:ListBucket" in failed.remedy
    assert "wrong-secret" not in str(found)


@pytest.mark.parametrize("scheme", ["gs", "s3"])
def test_a_bucket_that_is_not_there_is_told_once(request: pytest.FixtureRequest, scheme: str):
    server = request.getfixturevalue({"gs": "gcs", "s3": "s3"}[scheme])
    bucket = bucket_at(scheme, server.url if scheme == "gs" else server)

    found = store_findings(Store.open(f"{scheme}://no-such-bucket", options=bucket.options))

    assert [(each.what, each.verdict.value) for each in found] == [("list", "fail")]
    assert found[0].remedy == "create the bucket, or correct its name"


def test_a_server_that_is_not_there_is_told_soon():
    started = time.monotonic()

    found = store_findings(Store.open(f"gs://{BUCKET}", options=gcs_options("http://127.0.0.1:1")))

    assert [each.what for each in found] == ["list"]
    assert "answers" in found[0].remedy
    assert time.monotonic() - started < 15


def test_a_server_that_never_answers_does_not_hang(proxy: FaultyProxy, through: Bucket):
    started = time.monotonic()

    with proxy.broken(Fault(delay_s=60)):
        found = store_findings(through.store(), within_s=3)

    assert {each.verdict for each in found} == {Verdict.FAIL}
    assert time.monotonic() - started < 20


def test_a_server_that_breaks_in_the_middle_is_left_clean(
    gcs: GcsServer, proxy: FaultyProxy, through: Bucket
):
    with proxy.broken(Fault(status=503, on="GET HEAD", after=1)):
        found = store_findings(through.store(), within_s=4)

    assert Verdict.FAIL in {each.verdict for each in found}
    assert gcs.names() == []


def test_what_a_killed_doctor_left_is_removed_after_an_hour(tmp_path: Path):
    store = Store.open(str(tmp_path))
    for name, age_s in (("old", 7200), ("new", 60)):
        store.put(f"{DOCTOR_PREFIX}{name}/one", b"x")
        at = time.time() - age_s
        os.utime(tmp_path / f"{DOCTOR_PREFIX}{name}/one", (at, at))

    store_findings(store)

    assert [info.path for info in store.list()] == [f"{DOCTOR_PREFIX}new/one"]


def test_a_store_in_memory_is_none_for_a_project():
    found = store_findings(Store.open("memory://"))

    assert [(each.what, each.verdict.value) for each in found] == [("kind", "fail")]


MOUNTS = r"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /music rw,relatime - nfs4 server:/music rw
31 22 0:41 / /buckets/with\040space rw - fuse gcsfuse rw
32 30 8:2 / /music/disk rw - xfs /dev/sdb1 rw
"""


@pytest.mark.parametrize(
    ("folder", "kind", "shared"),
    [
        ("/music/data", "nfs4", True),
        ("/musical", "ext4", False),
        ("/music/disk/data", "xfs", False),
        ("/buckets/with space/data", "fuse.gcsfuse", True),
    ],
)
def test_the_file_system_of_a_folder_is_that_of_the_nearest_mount(
    tmp_path: Path, folder: str, kind: str, shared: bool
):
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)

    assert file_system(Path(folder), mounts) == kind
    assert is_shared(kind) is shared


def test_a_bucket_mounted_as_a_folder_has_another_remedy_than_a_network_disk(tmp_path: Path):
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    about = About("store", "x")

    on_network = store_file_system(about, Path("/music/data"), mounts)
    mounted = store_file_system(about, Path("/buckets/with space/data"), mounts)

    assert "one machine" in on_network.remedy
    assert "gs://" in mounted.remedy
    assert {on_network.verdict, mounted.verdict} == {Verdict.WARN}
