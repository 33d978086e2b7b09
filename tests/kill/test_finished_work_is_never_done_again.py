"""Kill -9 of parts of a run: the next one goes on where the receipts end (many: make test-kill)."""

import random
from pathlib import Path

import pytest

from tests.kill.kills import OF_A_RUN, killed_once


@pytest.mark.kill
@pytest.mark.parametrize("moment", range(10))
def test_a_killed_run_is_gone_on_with(tmp_path: Path, moment: int) -> None:
    victim = OF_A_RUN[moment % len(OF_A_RUN)]

    kill = killed_once(tmp_path, 60, victim, random.Random(moment))

    assert kill.faults == [], kill
