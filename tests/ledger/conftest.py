import shutil

import dagster as dg
import pytest

from tests.ledger.catalogue import LEDGERS


@pytest.fixture(scope="session")
def new_home(tmp_path_factory):
    """An instance's folder with its databases made, which takes longer than most tests."""
    folder = tmp_path_factory.mktemp("home")
    with dg.DagsterInstance.local_temp(str(folder)) as instance:
        instance.all_asset_keys()
    return folder


@pytest.fixture
def instance(tmp_path, new_home):
    shutil.copytree(new_home, tmp_path, dirs_exist_ok=True)
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


@pytest.fixture(params=LEDGERS, ids=list(LEDGERS))
def ledger(request, instance):
    return LEDGERS[request.param](instance)
