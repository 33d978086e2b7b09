"""What databases say when they do not work, as one line."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from klio_dagster.errors import LedgerError

_KEPT = "what was computed is kept, and the next run records it"


@contextmanager
def clear_errors(then: str = _KEPT) -> Iterator[None]:
    """Errors of the event log's database as ours.

    Args:
        then: what comes after it works again.

    Raises:
        LedgerError: the database did not work.
    """
    try:
        yield
    except Exception as error:
        told = ledger_error(error, then)
        if told is None:
            raise
        raise told from error


def ledger_error(error: Exception, then: str = _KEPT) -> LedgerError | None:
    """The error of a database as ours; None for any other."""
    if isinstance(error, SQLAlchemyError):
        said = str(error.orig if isinstance(error, DBAPIError) else error)
    elif type(error).__name__ == "DagsterPostgresException":  # its package may not be installed
        said = str(getattr(error.__cause__, "orig", error))
    else:
        return None
    said = said.strip().splitlines()[0]
    if "database is locked" in said or "lock timeout" in said:
        what = "another process kept Dagster's event log locked for too long"
        fix = "end that process"
    else:
        what = f"Dagster's event log did not work: {said}"
        fix = "see that its disk has room and, if it is on a server, that this one answers"
    return LedgerError(what, where="DAGSTER_HOME", fix=f"{fix}; {then}")
