"""How a command ends that raised: one line for people, and an exit code."""

from typing import NamedTuple

import click

from klio_dagster.errors import KlioError, RunError

SOME_FAILED = 1
USAGE = 2
INTERRUPTED = 130


class Ending(NamedTuple):
    """What is said of an exception, and the exit code."""

    line: str
    code: int


def ending(error: BaseException, *, debug: bool) -> Ending:
    """What to say of an exception that a command raised.

    Args:
        error: any.
        debug: its traceback is shown too.
    """
    error = _of_the_event_log(error) or error
    match error:
        case click.ClickException():
            said = getattr(error, "ctx", None) or click.get_current_context(silent=True)
            command = said.command_path if said else "klio"
            line = f"{command}: {error.format_message()} (see `{command} --help`)"
            code = USAGE
        case KeyboardInterrupt() | click.Abort():
            line = "klio: interrupted; what was finished is recorded, run again to go on"
            code = INTERRUPTED
        case KlioError():
            line, code = str(error), SOME_FAILED if isinstance(error, RunError) else USAGE
        case _:
            hint = "" if debug else "; --debug shows where"
            line, code = f"klio: unexpected {type(error).__name__}: {error}{hint}", USAGE
    return Ending(" ".join(line.split()), code)


def _of_the_event_log(error: BaseException) -> KlioError | None:
    """An error of Dagster's own reads and writes as ours."""
    if isinstance(error, KlioError) or not isinstance(error, Exception):
        return None
    from klio_dagster.ledger.internals.failures import ledger_error  # loads SQLAlchemy

    return ledger_error(error)
