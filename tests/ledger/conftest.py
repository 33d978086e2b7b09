import dagster as dg
import pytest

from tests.ledger.catalogue import LEDGERS


@pytest.fixture
def instance(tmp_path):
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


@pytest.fixture(params=LEDGERS, ids=list(LEDGERS))
def ledger(request, instance):
    return LEDGERS[request.param](instance)
