"""Every store keeps the same promises; the local one also when it is hindered."""

import inspect
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from klio_dagster.core.ids import escape
from klio_dagster.errors import ConfigError, ObjectNotFoundError
from klio_dagster.store.confirmed import ConfirmedStore
from klio_dagster.store.memory import MemoryStore
from klio_dagster.store.objects import ObjectStore
from klio_dagster.store.store import Store
from tests.strategies import HOSTILE_IDS

OPENERS: dict[str, Callable[[Path], ObjectStore]] = {
    "local": lambda folder: Store.open(str(folder / "data")),
    "obstore memory": lambda _: Store.open("memory://"),
    "memory": lambda _: MemoryStore(),
    "confirmed": lambda _: ConfirmedStore(MemoryStore(), lambda: None),
}


@pytest.fixture(params=OPENERS.values(), ids=OPENERS.keys())
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    return request.param(tmp_path)


def _public(kind: type) -> set[str]:
    return {name for name, _ in inspect.getmembers(kind) if not name.startswith("_")}


@pytest.mark.parametrize("kind", [Store, MemoryStore, ConfirmedStore])
def test_every_store_answers_the_whole_protocol(kind: type):
    assert _public(ObjectStore) <= _public(kind)
    for name in _public(ObjectStore) - {"url"}:
        ours, wanted = getattr(kind, name), getattr(ObjectStore, name)
        assert inspect.signature(ours).parameters == inspect.signature(wanted).parameters, name


def test_what_was_put_is_read_back(store: ObjectStore):
    store.put("mel/a.npy", b"one")
    store.put("mel/a.npy", b"three")
    store.put("mel/empty.npy", b"")

    assert store.get("mel/a.npy") == b"three"
    assert store.get_or_none("mel/empty.npy") == b""
    assert store.head("mel/a.npy").size == 5
    assert store.exists("mel/a.npy")
    assert store.uri("mel/a.npy").endswith("mel/a.npy")


def test_a_missing_object_is_one_clear_line(store: ObjectStore):
    for read in (store.get, store.head):
        with pytest.raises(ObjectNotFoundError, match=r"mel/none\.npy") as caught:
            read("mel/none.npy")
        assert len(str(caught.value).splitlines()) == 1

    assert store.get_or_none("mel/none.npy") is None
    assert not store.exists("mel/none.npy")
    assert not store.exists("mel")


def test_a_listing_has_everything_below_a_folder_and_nothing_else(store: ObjectStore):
    for path in ("mel/a.npy", "mel/x+/b.npy", "mel2/c.npy", "d.npy"):
        store.put(path, path.encode())

    listed = {info.path: info.size for info in store.list("mel/")}

    assert listed == {"mel/a.npy": 9, "mel/x+/b.npy": 12}
    assert {info.path for info in store.list()} == {*listed, "mel2/c.npy", "d.npy"}
    assert list(store.list("nothing/")) == []
    assert list(store.list("d.npy/")) == []


def test_more_objects_are_listed_than_one_answer_holds(store: ObjectStore):
    for n in range(2500):
        store.put(f"mel/{n}.npy", b"")

    assert len({info.path for info in store.list("mel/")}) == 2500


def test_a_changed_object_has_another_version(store: ObjectStore):
    store.put("a", b"one")
    before = store.head("a").version
    same = {info.version for info in store.list()}

    store.put("a", b"longer")

    assert same == {before}
    assert store.head("a").version != before


def test_deleting_is_done_once_and_asked_for_twice(store: ObjectStore):
    for n in range(1200):
        store.put(f"mel/{n}.npy", b"")

    store.delete("mel/0.npy")
    store.delete("mel/0.npy")
    store.delete_many(f"mel/{n}.npy" for n in range(1199))

    assert [info.path for info in store.list()] == ["mel/1199.npy"]


def test_of_many_writers_exactly_one_creates_the_object(store: ObjectStore):
    won: list[int] = []
    start = threading.Barrier(8)

    def create(n: int) -> None:
        start.wait()
        if store.put_if_absent("lock", str(n).encode()):
            won.append(n)

    threads = [threading.Thread(target=create, args=[n]) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(won) == 1
    assert store.get("lock") == str(won[0]).encode()


@pytest.mark.parametrize(
    "path", ["../a", "a/../../b", "/a", "a//b", "a/", "", ".", "a/.", "a\0b"], ids=repr
)
def test_a_path_that_leaves_the_store_is_refused(store: ObjectStore, path: str):
    touches = (store.get, store.head, store.exists, store.delete, store.get_or_none)

    for touch in (*touches, lambda p: store.put(p, b""), lambda p: store.put_if_absent(p, b"")):
        with pytest.raises(ConfigError, match="does not stay inside the store"):
            touch(path)


@pytest.mark.parametrize("folder", ["../a/", "a/../b", "/a", "a//", "."], ids=repr)
def test_a_folder_outside_the_store_is_refused(store: ObjectStore, folder: str):
    for look in (store.local_path, lambda f: list(store.list(f))):
        with pytest.raises(ConfigError, match="does not stay inside the store"):
            look(folder)


@pytest.mark.parametrize("entity_id", HOSTILE_IDS)
def test_a_file_on_the_disk_is_called_exactly_what_we_asked_for(tmp_path: Path, entity_id: str):
    store = Store.open(str(tmp_path))
    path = f"mel/{escape(entity_id)}.npy"

    store.put(path, b"x")

    assert tmp_path.joinpath(*path.split("/")).read_bytes() == b"x"
    assert [info.path for info in store.list()] == [path]
    assert store.local_path(path) == tmp_path / path


def test_looking_at_a_store_that_is_not_there_yet_makes_no_folder(tmp_path: Path):
    store = Store.open("./data", base=tmp_path)

    assert list(store.list()) == []
    assert not store.exists("mel/a.npy")
    assert list(tmp_path.iterdir()) == []

    store.put("mel/a.npy", b"x")

    assert (tmp_path / "data/mel/a.npy").read_bytes() == b"x"


def test_a_store_opens_again_by_its_own_url(tmp_path: Path):
    Store.open("data", base=tmp_path).put("a", b"x")

    again = Store.open(Store.open("data", base=tmp_path).url)

    assert again.get("a") == b"x"
    assert str(tmp_path / "data") in repr(again)
    assert again.local_path("") == tmp_path / "data"


def test_empty_folders_vanish_with_their_last_object(tmp_path: Path):
    store = Store.open(str(tmp_path / "data"))
    store.put("_klio/open/r1/claim.json", b"{}")
    store.put("_klio/runs/r1/failures.jsonl", b"")

    store.delete("_klio/open/r1/claim.json")

    assert [p.name for p in (tmp_path / "data/_klio").iterdir()] == ["runs"]


def test_one_strangely_named_file_does_not_hide_the_others(tmp_path: Path):
    for name in (b"tab\t.flac", b"line\n.flac", b"latin\xff.flac", b"good.flac"):
        (Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))).touch()

    listed = [info.path for info in Store.open(str(tmp_path)).list()]

    assert len(listed) == 4
    assert "good.flac" in listed


def test_a_file_that_is_removed_during_a_listing_is_left_out(tmp_path: Path):
    for n in range(5):
        (tmp_path / f"{n}.flac").touch()
    store = Store.open(str(tmp_path))
    paths = [info.path for info in store.list()]

    listing = store.list()
    next(listing)
    (tmp_path / paths[1]).unlink()

    assert [info.path for info in listing] == paths[2:]


def test_links_are_followed_but_never_in_circles(tmp_path: Path):
    (tmp_path / "album").mkdir()
    (tmp_path / "album/a.flac").write_bytes(b"abc")
    (tmp_path / "album/round").symlink_to(tmp_path)
    (tmp_path / "album/broken.flac").symlink_to(tmp_path / "nothing")
    (tmp_path / "album/b.flac").symlink_to(tmp_path / "album/a.flac")

    listed = sorted((i.path, i.size) for i in Store.open(str(tmp_path)).list("album/"))

    assert ("album/a.flac", 3) in listed
    assert ("album/b.flac", 3) in listed
    assert len(listed) == 2


def test_a_file_where_the_store_should_be_is_one_clear_line(tmp_path: Path):
    (tmp_path / "data").write_text("")
    store = Store.open(str(tmp_path / "data"))

    with pytest.raises(ConfigError, match="data: file exists") as caught:
        store.put("mel/a.npy", b"x")

    assert len(str(caught.value).splitlines()) == 1
    assert list(store.list()) == []


def test_a_folder_we_may_not_write_is_one_clear_line():
    # Root may write everywhere, so the child becomes somebody else once it has its libraries.
    write = (
        "import os, sys; from klio_dagster.errors import KlioError\n"
        "from klio_dagster.store.store import Store\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"
        "for where in sys.argv[1:]:\n"
        "    try: Store.open(where).put('mel/a.npy', b'x')\n"
        "    except KlioError as error: print(type(error).__name__, error)\n"
    )

    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        said = subprocess.run(
            [sys.executable, "-c", write, folder, f"{folder}/new"],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        ).stdout.splitlines()

    assert len(said) == 2
    assert all("StoreForbiddenError" in line and "permission denied" in line for line in said)


@pytest.mark.parametrize(
    ("url", "options"),
    [
        pytest.param("s3://bucket", {"no_such_option": "x"}, id="unknown option"),
        pytest.param("s3://bucket?no_such_option=hunter2", {}, id="unknown option in the URL"),
        pytest.param("az://container", {}, id="no account"),
        pytest.param("gs://bucket", {"service_account_key": "hunter2"}, id="broken key"),
    ],
)
def test_a_wrong_option_is_found_when_the_store_is_opened(url: str, options: dict[str, str]):
    with pytest.raises(ConfigError, match="store ") as caught:
        Store.open(url, options=options)

    assert len(str(caught.value).splitlines()) == 1
    assert "hunter2" not in str(caught.value)


def test_a_bucket_s_objects_are_named_with_their_whole_location():
    store = Store.open("s3://bucket/music/", options={"region": "eu-north-1"})

    assert store.url == "s3://bucket/music"
    assert store.uri("mel/a.npy") == "s3://bucket/music/mel/a.npy"
    assert store.local_path("mel/a.npy") is None
