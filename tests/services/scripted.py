"""What scripted services have in common, and those of jobs as fixtures.

A room's `conftest.py` imports the fixtures that its tests ask for; Beam is loaded when one is.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeVar

import pytest

if TYPE_CHECKING:
    from tests.services.scripted_flink import ScriptedFlink
    from tests.services.scripted_job_service import ScriptedJobService

Answer = TypeVar("Answer")


def next_of(answers: list[Answer]) -> Answer:
    """One a question; the last one for ever."""
    return answers.pop(0) if len(answers) > 1 else answers[0]


@pytest.fixture
def service() -> "Iterator[ScriptedJobService]":
    """Beam's Job API, without a job."""
    from tests.services.scripted_job_service import ScriptedJobService

    with ScriptedJobService() as scripted:
        yield scripted


@pytest.fixture
def cluster() -> "Iterator[ScriptedFlink]":
    """A Flink cluster's REST interface, without a job."""
    from tests.services.scripted_flink import ScriptedFlink

    with ScriptedFlink() as scripted:
        yield scripted
