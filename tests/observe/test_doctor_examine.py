"""Checks run side by side: what one does to itself concerns no other."""

import threading
import time
from dataclasses import replace

import pytest

from klio_dagster.errors import ConfigError, StoreUnavailableError
from klio_dagster.observe.doctor.examine import Check, examine
from klio_dagster.observe.doctor.finding import About, Verdict, secrets_in

ABOUT = About("store", "somewhere")


def check(look, what="look"):
    return Check(ABOUT, what, look)


def good():
    yield ABOUT.ok("good")


def test_a_check_that_hangs_is_cut_off_and_hides_no_other():
    released = threading.Event()

    def hangs():
        yield ABOUT.ok("before")
        released.wait(60)
        yield ABOUT.ok("after")

    def hangs_at_once():
        released.wait(60)
        yield ABOUT.ok("never")

    started = time.monotonic()
    found = examine(
        [check(hangs, "slow one"), check(good), check(hangs_at_once, "silent one")],
        within_s=0.3,
        to_clean_up_s=0.1,
    )
    took_s = time.monotonic() - started
    released.set()

    assert took_s < 5
    assert found.hangs
    assert [(each.what, each.verdict.value) for each in found.findings] == [
        ("before", "ok"),
        ("slow one", "fail"),
        ("good", "ok"),
        ("silent one", "fail"),
    ]
    assert found.findings[1].said == "did not go on within 0.3 s"
    assert found.findings[3].said == "no answer within 0.3 s"


def test_a_check_whose_time_is_over_cleans_up():
    cleaned = []

    def slow():
        try:
            for number in range(1000):
                time.sleep(0.1)
                yield ABOUT.ok(f"step {number}")
        finally:
            cleaned.append(True)

    found = examine([check(slow)], within_s=0.25)

    assert cleaned == [True]
    assert not found.hangs
    assert found.findings[-1].verdict is Verdict.FAIL
    assert 1 < len(found.findings) < 10


def test_a_check_that_needs_longer_has_its_time_and_gives_none_to_the_others():
    done = []

    def steps(name, seconds):
        for _ in range(10):
            time.sleep(seconds / 10)
            yield ABOUT.ok(name)
        done.append(name)

    long = replace(check(lambda: steps("long", 1.0), "long one"), needs_s=30.0)
    found = examine(
        [long, check(lambda: steps("short", 0.9), "short one")], within_s=0.3, to_clean_up_s=5.0
    )

    assert done == ["long"]
    assert [(each.what, each.figures) for each in found.findings if each.verdict != "ok"] == [
        ("short one", {"within_s": 0.3})
    ]
    assert not found.hangs


def test_a_check_that_takes_even_longer_than_it_needs_is_told_by_its_own_time():
    released = threading.Event()

    def hangs():
        released.wait(60)
        yield ABOUT.ok("never")

    found = examine([replace(check(hangs), needs_s=0.5)], within_s=0.1, to_clean_up_s=0.1)
    released.set()

    assert [each.said for each in found.findings] == ["no answer within 0.5 s"]


@pytest.mark.parametrize(
    ("error", "said", "remedy"),
    [
        pytest.param(ConfigError("it is red", "somewhere", "paint it"), "it is red", "paint it"),
        pytest.param(
            StoreUnavailableError("it is down", "elsewhere", "wait"),
            "elsewhere: it is down",
            "wait",
        ),
        pytest.param(
            KeyError("x"), "unexpected KeyError: 'x'", "report it with this line", id="of a bug"
        ),
    ],
)
def test_what_a_check_raises_is_a_finding(error, said, remedy):
    def raises():
        yield ABOUT.ok("first")
        raise error

    found = examine([check(raises), check(good)], within_s=10).findings

    assert [each.what for each in found] == ["first", "look", "good"]
    assert found[1] == ABOUT.fail("look", said, remedy)


def test_keys_and_passwords_are_shown_nowhere():
    def tells():
        yield ABOUT.fail("a", "who are you, AKIA1234? s3://key:pass@bucket", "not with hunter22")
        raise ConfigError("no hunter22 here", "postgresql://klio:letmein@db/x", "ask hunter22")

    secrets = secrets_in({"access_key_id": "AKIA1234", "password": "hunter22", "region": "north"})
    found = examine([check(tells)], within_s=10, secrets=secrets).findings

    said = " ".join(f"{each.where} {each.said} {each.remedy}" for each in found)
    assert "hunter22" not in said
    assert "AKIA1234" not in said
    assert "pass@" not in said
    assert "letmein" not in said


def test_what_is_secret_is_known_by_its_name_or_its_place(tmp_path):
    key_file = tmp_path / "key.json"
    key_file.touch()

    found = secrets_in(
        {
            "secret_access_key": "abcdefgh",
            "DAGSTER_POSTGRES_URL": "postgresql+psycopg2://klio:in-the-url@db:5432/dagster",
            "GOOGLE_APPLICATION_CREDENTIALS": str(key_file),
            "skip_signature": "true",
            "region": "eu-north-1",
        }
    )

    assert found == ["abcdefgh", "in-the-url"]


def test_a_failure_can_be_no_worse_than_a_warning():
    failed, fine = ABOUT.fail("a", "gone", "make it"), ABOUT.ok("b")

    assert failed.at_most(Verdict.WARN, "it rests") == replace(
        failed, verdict=Verdict.WARN, said="gone (it rests)"
    )
    assert fine.at_most(Verdict.WARN, "it rests") == fine
