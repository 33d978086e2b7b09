"""What the library below says becomes one line that says who can mend it."""

import errno

import pytest
from obstore import exceptions

from klio_dagster.errors import (
    ConfigError,
    ObjectNotFoundError,
    StoreForbiddenError,
    StoreFullError,
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
