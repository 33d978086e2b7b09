"""What a takedown takes out of Dagster's event log, whatever storage that is."""

import pytest

from klio_dagster.core.check import Evaluation
from tests.ledger.catalogue import CHECK, LEDGERS, new_run, recording


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_also_the_evaluation_that_a_retry_of_the_run_replaced_goes(instance):
    ledger, run = LEDGERS["batched"](instance), new_run()
    for at, passed in ((1, False), (5, True)):
        check = Evaluation(check=CHECK, passed=passed, severity="warn")
        ledger.record(run, [recording(entity, at=at, checks=[check]) for entity in ("a", "b")])
    told = ledger.traces(["recording"], ["a"])

    ledger.forget(["recording"], ["a"])

    log = instance.event_log_storage.get_logs_for_run(run.run_id)
    assert told == {"recording": 4}, "two materialisations and two evaluations"
    assert [str(entry) for entry in log if "partition='a'" in str(entry)] == []
    assert len([entry for entry in log if "partition='b'" in str(entry)]) == 4
    assert ledger.traces(["recording"], ["a"]) == {}
