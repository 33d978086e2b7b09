"""The user's own error, out of what a service says of a failed job."""

import re
from collections.abc import Sequence

_MOST_CHARACTERS = 500
# The last line of a Python traceback, with what Beam adds about its step.
_RAISED = re.compile(
    r"^(?:\s*RuntimeError: )?((?:\w+\.)*\w*(?:Error|Exception|Failure)\w*: .+)$", re.M
)
_WHILE = re.compile(r" ?\[while running .*$", re.M)


def reason_of(texts: Sequence[str]) -> str:
    """The error that was raised last, in a line; else the last thing that was said.

    Args:
        texts: stack traces and messages, in the order in which they came.
    """
    for text in reversed(texts):
        trace = text.rpartition("Traceback (most recent call last)")[2]
        raised = _RAISED.findall(trace)
        if raised:
            return _line(raised[0])
    return _line(next((text for text in reversed(texts) if text.strip()), ""))


def _line(text: str) -> str:
    own = _WHILE.sub("", text).removeprefix("klio_dagster.errors.")
    return " ".join(own.split())[:_MOST_CHARACTERS]
