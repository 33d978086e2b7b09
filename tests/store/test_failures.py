"""What the library below says becomes one line that says who can mend it."""

import errno
from xml.sax.saxutils import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from obstore import exceptions

from klio_dagster.errors import (
    ConfigError,
    ObjectNotFoundError,
    StoreForbiddenError,
    StoreFullError,
    StoreLoginError,
    StoreUnavailableError,
)
from klio_dagster.store.failures import STORE_ERRORS, store_error

MENDED_BY_TRYING_AGAIN = StoreUnavailableError
MAPPED = {
    "AlreadyExistsError": MENDED_BY_TRYING_AGAIN,
    "BaseError": MENDED_BY_TRYING_AGAIN,
    "GenericError": MENDED_BY_TRYING_AGAIN,
    "InvalidPathError": ConfigError,
    "JoinError": MENDED_BY_TRYING_AGAIN,
    "NotFoundError": ObjectNotFoundError,
    "NotModifiedError": MENDED_BY_TRYING_AGAIN,
    "NotSupportedError": ConfigError,
    "PermissionDeniedError": StoreForbiddenError,
    "PreconditionError": MENDED_BY_TRYING_AGAIN,
    "UnauthenticatedError": StoreForbiddenError,
    "UnknownConfigurationKeyError": ConfigError,
}
RAISED = {
    name: kind
    for name, kind in vars(exceptions).items()
    if isinstance(kind, type) and issubclass(kind, Exception)
}


@pytest.mark.parametrize("name", RAISED)
def test_every_exception_of_the_store_library_is_mapped(name: str):
    error = RAISED[name]("it failed\n\nDebug source:\nmuch more")

    ours = store_error(error, "gs://bucket/mel/a.npy")

    assert isinstance(error, STORE_ERRORS)
    assert type(ours) is MAPPED[name]
    assert str(ours).startswith("store gs://bucket/mel/a.npy: it failed; ")
    assert len(str(ours).splitlines()) == 1


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        pytest.param(errno.ENOENT, ObjectNotFoundError, id="missing"),
        pytest.param(errno.EACCES, StoreForbiddenError, id="not permitted"),
        pytest.param(errno.EROFS, StoreForbiddenError, id="read-only disk"),
        pytest.param(errno.ENOTDIR, ConfigError, id="file instead of a folder"),
        pytest.param(errno.ENAMETOOLONG, ConfigError, id="name too long"),
        pytest.param(errno.ENOSPC, StoreFullError, id="disk full"),
        pytest.param(errno.EIO, StoreUnavailableError, id="disk broken"),
    ],
)
def test_an_error_of_the_disk_means_the_same_whoever_reports_it(code: int, expected: type):
    from_system = store_error(OSError(code, "text"), "/data/a")
    from_library = store_error(
        exceptions.GenericError(f"Generic LocalFileSystem error: x (os error {code})"), "/data/a"
    )

    assert type(from_system) is expected
    assert str(from_system) == str(from_library)


def test_a_signed_url_in_a_message_is_not_shown():
    error = exceptions.GenericError("GET https://host/a?sig=hunter2 answered 503")

    assert "hunter2" not in str(store_error(error, "s3://key:hunter2@bucket/a"))


XML = '<?xml version="1.0" encoding="UTF-8"?>'
DENIED = "Server returned non-2xx status code: 403 Forbidden"


def answered(body: str, status: str = DENIED) -> str:
    """What obstore says when a server answers with a body: that comes before its own output."""
    return f"Error performing GET http://host/a in 2ms - {status}: {body}\n\nDebug source:\nx <y>"


def element(code: str, message: str) -> str:
    return f"<Error><Code>{code}</Code><Message>{message}</Message><HostId>x</HostId></Error>"


@pytest.mark.parametrize("begins", ["", f"{XML}\n", f"\ufeff{XML}"], ids=["bare", "below", "BOM"])
def test_what_the_server_says_in_xml_is_said_without_it(begins: str):
    error = exceptions.PermissionDeniedError(
        answered(begins + element("AccessDenied", "No such\nright.\nTime:2026"))
    )

    ours = store_error(error, "s3://bucket/a")

    assert type(ours) is StoreForbiddenError
    assert ours.what.endswith("403 Forbidden: AccessDenied: No such right. Time:2026")


LOGINS = {
    "ExpiredToken": "log in again",
    "TokenRefreshRequired": "log in again",
    "RequestTimeTooSkewed": "clock",
}


@pytest.mark.parametrize("kind", ["GenericError", "PermissionDeniedError"])
@pytest.mark.parametrize("code", LOGINS)
def test_who_is_not_let_in_any_more_is_told_what_to_renew(code: str, kind: str):
    body = f"{XML}\n{element(code, 'It is too late.')}"

    ours = store_error(RAISED[kind](answered(body)), "s3://bucket/a")

    assert type(ours) is StoreLoginError
    assert LOGINS[code] in ours.fix
    assert ours.what.endswith(f": {code}: It is too late")
    assert len(str(ours).splitlines()) == 1


def test_a_refusal_without_a_word_is_no_store_that_does_not_answer():
    error = exceptions.GenericError(answered("", "status code: 400 Bad Request"))

    ours = store_error(error, "s3://bucket/a")

    assert type(ours) is StoreForbiddenError
    assert ours.what.endswith("400 Bad Request")
    assert "session has expired" in ours.fix


def test_what_a_proxy_answers_in_html_is_left_out():
    ours = store_error(
        exceptions.GenericError(answered("<html>\r\n<b>Bad</b>", "status code: 502 Bad Gateway")),
        "s3://bucket/a",
    )

    assert ours.what.endswith("status code: 502 Bad Gateway")


@given(
    code=st.text(),
    message=st.text(),
    before=st.sampled_from(["", XML, f"{XML}\r\n", f"\ufeff{XML}\n", "<!DOCTYPE html>", "<p>"]),
    kind=st.sampled_from(sorted(RAISED)),
)
def test_whatever_a_server_answers_is_one_line_without_xml(
    code: str, message: str, before: str, kind: str
):
    body = before + element(escape(code), escape(message))

    said = str(store_error(RAISED[kind](answered(body)), "s3://bucket/a"))

    assert len(said.splitlines()) == 1
    assert "<" not in said
