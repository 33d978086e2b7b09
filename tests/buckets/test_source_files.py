"""A recording in a bucket, for who opens a file: a copy, for as long as it is computed with."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from klio_dagster.codecs.json import Json
from klio_dagster.core.asset import EntityAsset
from klio_dagster.engine.guardian import Guardian
from klio_dagster.engine.inputs import SourceFile
from klio_dagster.engine.scratch import forget_file, keep_file, scratch_root
from klio_dagster.errors import EntityError, StoreUnavailableError
from klio_dagster.store.remote import PIECE_BYTES
from tests.buckets.bucket_catalogue import BucketCatalogue
from tests.flows.catalogue import group
from tests.services.buckets import Bucket, bucket_at
from tests.services.faults import Fault, FaultyProxy
from tests.services.gcs import BUCKET


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder of the test's own, also for its workers."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


@pytest.fixture
def recordings(s3: str) -> Bucket:
    bucket = bucket_at("s3", s3)
    for number in range(10):
        bucket.store().put(f"tracks/track-{number}.ogg", b"x" * (number + 1))
    return bucket


def opened(entity: object, source: SourceFile) -> dict[str, object]:
    text = source.path.read_text()
    if len(text) == 2:
        raise ValueError("no sound in it")
    if len(text) == 3:
        os.kill(os.getpid(), 9)
    kept = len(list(source.path.parent.parent.iterdir()))
    return {"kept": kept, "suffix": source.path.suffix, "uri": source.uri}


def again(entity: object, source: SourceFile, first: dict[str, object]) -> str:
    return source.path.read_text()


def files_in(folder: Path) -> list[str]:
    return [str(file) for file in folder.rglob("*") if file.is_file()]


def test_it_is_a_file_and_gone_afterwards_also_of_what_failed_and_of_a_worker_that_died(
    catalogue: BucketCatalogue, recordings: Bucket, scratch: Path
):
    catalogue.register(*(f"track-{number}" for number in range(10)))
    catalogue.source_options = {f"s3://{BUCKET}": recordings.options}
    source = f"{recordings.url}/tracks/{{entity}}.ogg"

    done = catalogue.run(
        group(
            EntityAsset("first", opened, source=source, output=Json()),
            EntityAsset("second", again, source=source, deps=["first"], output=Json()),
        )
    )

    assert done.counts("materialized") == {"first": 8, "second": 8}, done.error
    uri = f"{recordings.url}/tracks/track-3.ogg"
    assert catalogue.load("first/track-3.json") == {"kept": 1, "suffix": ".ogg", "uri": uri}
    assert all(catalogue.load(f"first/track-{number}.json")["kept"] == 1 for number in range(3, 10))
    assert catalogue.load("second/track-3.json") == "xxxx"
    assert "SIGKILL" in done.failures["track-2", "first"]
    assert files_in(scratch) == []


def test_of_a_driver_that_is_killed_the_guardian_removes_what_its_workers_kept(scratch: Path):
    worker = subprocess.Popen(["/bin/sleep", "60"], start_new_session=True)
    left = scratch_root() / f"worker-{worker.pid}" / "1" / "source.ogg"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"x")
    guardian = Guardian()
    guardian.watch(worker.pid)

    guardian.close()  # as the end of its pipe does

    assert worker.wait(10) == -9
    assert files_in(scratch) == []


def test_what_has_no_room_or_does_not_come_leaves_nothing(scratch: Path):
    def cut_off() -> Iterator[bytes]:
        yield b"x"
        raise StoreUnavailableError("cut off", "s3://a/b.ogg", "try again")

    with pytest.raises(EntityError, match="TMPDIR"):
        keep_file(iter([b""]), 1 << 60, name="b.ogg", where="s3://a/b.ogg")
    with pytest.raises(StoreUnavailableError):
        keep_file(cut_off(), 10, name="b.ogg", where="s3://a/b.ogg")

    assert files_in(scratch) == []


def test_a_name_from_outside_says_nothing_but_a_suffix(scratch: Path):
    kept = [
        keep_file(iter([b"x"]), 1, name=name, where=name)
        for name in ("a/b.ogg", "a/../../b.o gg", "x" * 500 + ".flac", ".", "a.tar/..")
    ]

    assert [path.name for path in kept] == [
        *("source.ogg", "source", "source.flac", "source", "source")
    ]
    assert all(path.is_relative_to(scratch) for path in kept)
    for path in kept:
        forget_file(path)
    forget_file(Path(__file__))
    assert files_in(scratch) == []


def test_a_large_one_comes_in_pieces_of_one_version(bucket: Bucket):
    data = bytes(range(256)) * (PIECE_BYTES // 256 * 2 + 1)
    bucket.store().put("a.wav", data)
    with FaultyProxy(bucket.endpoint) as proxy:
        pieces = bucket.at(proxy.url).store().pieces("a.wav")
        with proxy.broken(Fault(on="GET", cut_at=500, times=2)):
            first = next(pieces)
        bucket.store().put("a.wav", data[::-1])

        with pytest.raises(StoreUnavailableError):
            list(pieces)

    assert first == data[:PIECE_BYTES]
    assert b"".join(bucket.store().pieces("a.wav")) == data[::-1]
