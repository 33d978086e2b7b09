"""A real daemon and its runs die by -9, and no message is lost (all points: make test-kill)."""

import pytest

from tests.kill.daemon_kills import killed_at
from tests.kill.stream import Stream


@pytest.mark.kill
@pytest.mark.emulator
@pytest.mark.parametrize(
    "point",
    [
        "after the acknowledgement",  # of a tick: only the inbox knows of its messages
        "AUTOMATION_EVALUATIONS_ADDED",  # of the daemon: the run is requested, and forgotten
        "after the ledger, before the publish",  # of a run
    ],
)
def test_every_message_is_recorded_and_passed_on(stream: Stream, point: str) -> None:
    kill = killed_at(stream, point, messages=12)

    assert kill.faults == [], kill
    assert kill.in_ledger == 7
