"""What a store's library or the operating system says, as one of our errors."""

import errno
import os
import re

from obstore import exceptions

from klio_dagster.errors import (
    ConfigError,
    KlioError,
    ObjectNotFoundError,
    StoreForbiddenError,
    StoreFullError,
    StoreLoginError,
    StoreUnavailableError,
)
from klio_dagster.store.url import hide_secrets

_STATUS = re.compile(r"status code: (\d{3})")
_OS_ERROR = re.compile(r"\(os error (\d+)\)")
_OS_ERRORS: tuple[tuple[frozenset[int], type[KlioError], str], ...] = (
    (frozenset({errno.ENOENT}), ObjectNotFoundError, "check that it was written and not removed"),
    (
        frozenset({errno.EACCES, errno.EPERM, errno.EROFS}),
        StoreForbiddenError,
        "let this user read and write there, or use another store",
    ),
    (
        frozenset({errno.ENOTDIR, errno.EEXIST, errno.EISDIR}),
        ConfigError,
        "a file stands where a folder is needed, or the reverse: move it away",
    ),
    (frozenset({errno.ENAMETOOLONG, errno.ELOOP}), ConfigError, "use a shorter path"),
    (frozenset({errno.ENOSPC, errno.EDQUOT}), StoreFullError, "free some space"),
)

_CLOSED = frozenset({"401", "403"})
REFUSED = "status code: 400 Bad Request"  # and not a word of why
_LOG_IN_OR_CORRECT = "log in again if the session has expired, else correct the store's options"
# What S3, Google's XML API and Azure answer in, and where: often below the first line.
_XML = re.compile(r"<Code>([^<]+)</Code>(?:.*?<Message>([^<]+)</Message>)?", re.DOTALL)
_MARKUP = re.compile(r": *\ufeff?<[?!a-z].*", re.DOTALL | re.IGNORECASE)  # also a proxy's HTML
_LOG_IN_AGAIN = "its session has expired: log in again, or use credentials that renew themselves"
_CODES: dict[str, str] = {
    "ExpiredToken": _LOG_IN_AGAIN,
    "TokenRefreshRequired": _LOG_IN_AGAIN,
    "RequestTimeTooSkewed": "set this machine's clock, by NTP for instance",
}

# First match wins; obstore's classes are siblings below BaseError.
_FIXES: tuple[tuple[type[Exception], type[KlioError], str], ...] = (
    (FileNotFoundError, ObjectNotFoundError, "check that it was written and not removed"),
    # Old obstore raises it, new obstore says that it no longer does.
    (exceptions.NotFoundError, ObjectNotFoundError, "check it"),  # pyright: ignore[reportDeprecated]
    (exceptions.PermissionDeniedError, StoreForbiddenError, "give these credentials access"),
    (exceptions.UnauthenticatedError, StoreForbiddenError, "provide valid credentials"),
    (exceptions.UnknownConfigurationKeyError, ConfigError, "correct the store's options"),
    (exceptions.InvalidPathError, ConfigError, "rename the object"),
    (exceptions.NotSupportedError, ConfigError, "use another kind of store"),
    (exceptions.AlreadyExistsError, StoreUnavailableError, "try again"),
    (exceptions.PreconditionError, StoreUnavailableError, "try again"),
    (exceptions.NotModifiedError, StoreUnavailableError, "try again"),
    (exceptions.JoinError, StoreUnavailableError, "try again"),
    (exceptions.GenericError, StoreUnavailableError, "check that it answers, then try again"),
    (exceptions.BaseError, StoreUnavailableError, "check that it answers, then try again"),
    (ValueError, ConfigError, "correct the path or the store's options"),
)

# What obstore and the operating system raise and `store_error` understands.
STORE_ERRORS = (exceptions.BaseError, OSError, ValueError)


def store_error(error: Exception, where: str) -> KlioError:
    """Our error for one of `STORE_ERRORS`.

    Args:
        error: as it was raised.
        where: location of the object or of the store; credentials in it are hidden.
    """
    where = f"store {hide_secrets(where)}"
    if isinstance(error, OSError) and error.errno is not None:
        return _os_error(error.errno, where)
    # The first line is for people; what follows is obstore's own debugging output.
    text = hide_secrets(str(error))
    first_line = _in_one_line(_MARKUP.sub("", text.partition("\n")[0]))
    answered = _XML.search(text)
    if answered:
        said = [first_line, *filter(None, map(_in_one_line, answered.groups("")))]
        first_line = ": ".join(said)
        if answered[1] in _CODES:
            return StoreLoginError(first_line, where, _CODES[answered[1]])
    code = _OS_ERROR.search(first_line)
    if code:
        return _os_error(int(code[1]), where)
    status = _STATUS.search(first_line)
    if status and status[1] in _CLOSED:  # a listing says it in a general error
        return StoreForbiddenError(first_line, where, "provide credentials that have access")
    if first_line.endswith(REFUSED):  # as S3 answers a HEAD with expired credentials
        return StoreForbiddenError(first_line, where, _LOG_IN_OR_CORRECT)
    for caught, ours, fix in _FIXES:
        if isinstance(error, caught):
            return ours(first_line or type(error).__name__, where, fix)
    return StoreUnavailableError(first_line or type(error).__name__, where, "try again")


def _in_one_line(text: str) -> str:
    """Azure's messages have several; nothing behind them that is none of it."""
    return " ".join(text.split()).rstrip(".: ")


def _os_error(code: int, where: str) -> KlioError:
    what = os.strerror(code).lower()
    for codes, ours, fix in _OS_ERRORS:
        if code in codes:
            return ours(what, where, fix)
    return StoreUnavailableError(what, where, "check the disk, then run again")
