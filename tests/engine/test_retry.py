"""What is tried again, and how long it takes until then."""

import errno
import urllib.error
from email.message import Message

import pytest
import requests

from klio_dagster.codecs.json import Json
from klio_dagster.core.asset import EntityAsset
from klio_dagster.core.code_version import code_versions
from klio_dagster.core.graph import Chain
from klio_dagster.core.manifest import Manifest, PartSpec, part_specs
from klio_dagster.engine.retry import Waits, is_transient_by_default, transient_of
from klio_dagster.errors import EntityError, StoreUnavailableError
from tests.engine import fault_jobs as jobs


def test_nobody_waits_for_what_is_over():
    paused: list[float] = []
    waits = Waits(pause=paused.append, dice=lambda: 0.5, clock=lambda: 100.0)

    waits.until(99.0)
    waits.until(waits.over_at(2))

    assert paused == [1.0]


def raised_from(cause: BaseException) -> Exception:
    error = ValueError("no tags")
    error.__cause__ = cause
    return error


def http_error(status: int) -> Exception:
    return urllib.error.HTTPError("http://x", status, "no", Message(), None)


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(StoreUnavailableError("a", "b", "c"), id="our own"),
        pytest.param(ConnectionResetError(), id="a broken connection"),
        pytest.param(TimeoutError(), id="a time-out"),
        pytest.param(OSError(errno.EHOSTUNREACH, "no route"), id="no route to the host"),
        pytest.param(urllib.error.URLError(ConnectionRefusedError()), id="urllib's wrapping"),
        pytest.param(http_error(503), id="a busy server"),
        pytest.param(requests.ConnectionError(), id="of requests"),
        pytest.param(requests.ReadTimeout(), id="a subclass of requests' Timeout"),
        pytest.param(raised_from(TimeoutError()), id="raised from a transient one"),
    ],
)
def test_what_may_not_come_again_is_transient(error: Exception):
    assert is_transient_by_default(error)


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(ValueError("bad"), id="a wrong value"),
        pytest.param(EntityError("a", "b", "c"), id="our own"),
        pytest.param(FileNotFoundError(errno.ENOENT, "no file"), id="no file"),
        pytest.param(OSError(errno.ENOSPC, "full"), id="a full disk"),
        pytest.param(http_error(404), id="not found"),
        pytest.param(MemoryError(), id="no memory"),
        pytest.param(SystemExit(503), id="an exit code that looks like a server's"),
    ],
)
def test_what_will_come_again_is_not(error: BaseException):
    assert not is_transient_by_default(error)


def test_a_chain_of_causes_without_end_is_left():
    error = ValueError()
    error.__cause__ = error

    assert not is_transient_by_default(error)


def spec(transient: object) -> PartSpec:
    chain = Chain([EntityAsset("a", jobs.named, output=Json(), transient=transient)])  # pyright: ignore
    parts = part_specs(chain, chain.order, code_versions(chain), {})
    head = Manifest(run="r", store="s", parts=[], chain=parts, engine={}).to_json()
    return Manifest.from_json(head).chain[0]


@pytest.mark.parametrize(
    ("transient", "error", "is_so"),
    [
        pytest.param(None, TimeoutError(), True, id="by default"),
        pytest.param([LookupError], KeyError(), True, id="a class above"),
        pytest.param(LookupError, KeyError(), True, id="one class"),
        pytest.param([LookupError], TimeoutError(), False, id="instead of the default"),
        pytest.param([LookupError], StoreUnavailableError("a", "b", "c"), True, id="ours stay"),
        pytest.param(jobs.Busy, jobs.Busy(), True, id="a class of the user"),
        pytest.param(jobs.says_again, ValueError("again"), True, id="a function"),
        pytest.param(jobs.says_again, ValueError("never"), False, id="a function that says no"),
        pytest.param([], TimeoutError(), False, id="nothing"),
    ],
)
def test_an_asset_says_what_is_transient(transient: object, error: Exception, is_so: bool):
    assert transient_of(spec(transient))(error) is is_so
