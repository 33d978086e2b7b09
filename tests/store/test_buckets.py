"""A bucket keeps the same promises as a folder: Google's, Amazon's and Azure's."""

import threading
from random import Random

import pytest
from google.api_core.exceptions import PreconditionFailed
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from klio_dagster.core.ids import escape
from klio_dagster.errors import ConfigError, ObjectNotFoundError
from klio_dagster.store.remote import PIECE_BYTES
from klio_dagster.store.store import Store
from tests.services.buckets import Bucket
from tests.services.faults import FaultyProxy
from tests.services.gcs import BUCKET, GcsServer
from tests.strategies import HOSTILE_IDS


def test_what_was_put_is_read_back_and_can_be_removed(bucket: Bucket):
    store = bucket.store()

    store.put("mel/a.npy", b"one")
    store.put("mel/a.npy", b"three")
    store.put("mel/empty.npy", b"")

    assert store.get("mel/a.npy") == b"three"
    assert store.get("mel/empty.npy") == b""
    assert store.head("mel/a.npy").size == 5
    assert store.uri("mel/a.npy") == f"{bucket.url}/mel/a.npy"
    store.delete("mel/a.npy")
    store.delete("mel/a.npy")
    store.delete_many(["mel/empty.npy", "mel/never.npy"])
    assert list(store.list()) == []
    with pytest.raises(ObjectNotFoundError):
        store.get("mel/a.npy")


def test_a_listing_longer_than_a_page_has_every_name_once(bucket: Bucket):
    store = bucket.store()
    names = {f"mel/{number:04}.npy" for number in range(1100)}
    for name in names:
        store.put(name, b"x")
    store.put("melody/other.npy", b"x")

    listed = [info.path for info in store.list("mel/")]

    assert len(listed) == len(names)
    assert set(listed) == names


def test_every_id_has_an_object_of_its_own(bucket: Bucket):
    store = bucket.store()
    paths = [f"mel/{escape(entity)}.npy" for entity in HOSTILE_IDS]

    for path in paths:
        store.put(path, path.encode())

    assert {info.path for info in store.list()} == set(paths)
    assert all(store.get(path) == path.encode() for path in paths)


def test_of_many_who_create_an_object_at_once_one_does(bucket: Bucket):
    won: list[int] = []

    def create(number: int) -> None:
        if store.put_if_absent("claim", str(number).encode()):
            won.append(number)

    store = bucket.store()
    threads = [threading.Thread(target=create, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(won) == 1
    assert store.get("claim") == str(won[0]).encode()


def test_a_large_file_goes_there_and_back_in_pieces(bucket: Bucket):
    data = Random(1).randbytes(2 * PIECE_BYTES + 12345)
    with FaultyProxy(bucket.endpoint) as proxy:
        store = bucket.at(proxy.url).store()

        store.put("recording/long.wav", data)

        assert proxy.count("PUT") >= 3
        assert store.get("recording/long.wav") == data
        assert proxy.count("GET") >= 3


def test_options_are_checked_before_anybody_is_asked():
    for options, said in (
        ({"regoin": "eu"}, "regoin"),
        ({"max_retries": "many"}, "max_retries"),
    ):
        with pytest.raises(ConfigError, match=said):
            Store.open("s3://music", options=options)


def test_googles_own_client_reads_what_we_write_and_the_reverse(gcs: GcsServer):
    ours = Store.open(f"gs://{BUCKET}", options=Bucket("gs", gcs.url, "").options)
    client = storage.Client(
        project="klio",
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": gcs.url},
    )
    theirs = client.bucket(BUCKET)

    ours.put("from/us", b"hello")
    theirs.blob("from/them").upload_from_string(b"x" * 300)
    theirs.blob("from/them-large", chunk_size=1 << 18).upload_from_string(b"y" * 700_000)
    gcs.buckets.page_size = 2

    assert theirs.blob("from/us").download_as_bytes() == b"hello"
    assert ours.get("from/them-large") == b"y" * 700_000
    assert [b.name for b in client.list_blobs(BUCKET, prefix="from/")] == gcs.names()
    assert sorted(info.path for info in ours.list()) == gcs.names()
    with pytest.raises(PreconditionFailed):
        theirs.blob("from/us").upload_from_string(b"again", if_generation_match=0)
    with pytest.raises(PreconditionFailed):
        theirs.blob("from/us").delete(if_generation_match=1)
