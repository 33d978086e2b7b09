"""The engines' programs are brought once, whole or not at all, or one line says why not."""

import sys
import threading
from pathlib import Path

import pytest

from tests.services import engine_programs
from tests.services.engine_programs import NotMadeError, Part


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where they lie, instead of the checkout's cache and the user's own."""
    cache = tmp_path / "cache"
    monkeypatch.setattr(engine_programs, "_FOLDERS", (cache, tmp_path / "of-the-user"))
    return cache


def part(make, needs=None) -> Part:
    return Part(name="it-1", says="it", inside="it", needs=needs or {}, make=make)


def test_two_at_once_make_it_once(folder):
    made = []
    started = threading.Barrier(2)

    def make(aside: Path) -> None:
        made.append(aside)
        (aside / "it").touch()

    def ask() -> None:
        started.wait()
        assert part(make).made() == folder / "it-1" / "it"

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(made) == 1


def test_what_was_killed_half_way_is_not_found_and_made_anew(folder):
    def killed(aside: Path) -> None:
        (aside / "it").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        part(killed).made()
    assert part(killed).found() is None

    assert part(lambda aside: (aside / "it").write_text("whole")).made().read_text() == "whole"


def test_the_users_own_cache_serves_every_checkout(folder, tmp_path):
    (tmp_path / "of-the-user" / "it-1" / "it").mkdir(parents=True)

    assert part(lambda _: pytest.fail("it was there")).made().is_relative_to(tmp_path)


def test_a_missing_program_is_one_line_that_says_how_to_get_it(folder):
    needs = {"no-such-program": "install it"}

    with pytest.raises(NotMadeError) as raised:
        part(lambda _: None, needs).made()

    assert str(raised.value) == "it-1: there is no no-such-program on the path; install it"


def test_a_failing_program_is_one_line_with_what_it_said_and_where_the_rest_is(folder):
    says = "import sys; print('a'); print('[ERROR] no such version'); print('c'); sys.exit(3)"

    with pytest.raises(NotMadeError) as raised:
        part(lambda aside: engine_programs._run([sys.executable, "-c", says], aside)).made()

    said = str(raised.value)
    assert said.startswith("it-1: python ended with 3: [ERROR] no such version; mend that")
    assert (folder / ".it-1.half.log").read_text().splitlines()[-1] == "c"


def test_what_cannot_be_made_is_no_success(folder, monkeypatch, capsys):
    def fails(_: Path) -> None:
        raise NotMadeError("why")

    monkeypatch.setattr(engine_programs, "PARTS", (part(fails),))

    assert engine_programs.main() == 1
    assert capsys.readouterr().err == "engines: why\n"


def test_the_names_carry_what_they_are_made_from():
    names = [each.name for each in engine_programs.PARTS]

    assert names[0] == "flink-1.19.3"
    assert names[2] == f"prism-{engine_programs.version('apache-beam')}"
