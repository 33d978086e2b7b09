import shutil

import dagster as dg
import pytest

from tests.ledger.catalogue import LEDGERS
from tests.ledger.storages import SQLITE, opened


@pytest.fixture(scope="session")
def new_home(tmp_path_factory):
    """An instance's folder with its databases made, which takes longer than most tests."""
    folder = tmp_path_factory.mktemp("home")
    with dg.DagsterInstance.local_temp(str(folder)) as instance:
        instance.all_asset_keys()
    return folder


@pytest.fixture(scope="session")
def new_database(postgres_server, tmp_path_factory):
    """The same in PostgreSQL."""
    url = postgres_server.new_database()
    with opened("postgres", tmp_path_factory.mktemp("home"), url) as instance:
        instance.all_asset_keys()
    return url


@pytest.fixture
def kind():
    """Of the storage; a module or a test that wants others parametrises it."""
    return "sqlite"


@pytest.fixture
def url(kind, request):
    if kind in SQLITE:
        return None
    server = request.getfixturevalue("postgres_server")
    return server.new_database(like=request.getfixturevalue("new_database"))


@pytest.fixture
def instance(tmp_path, new_home, kind, url):
    if kind in SQLITE:
        shutil.copytree(new_home, tmp_path, dirs_exist_ok=True)
    with opened(kind, tmp_path, url) as instance:
        yield instance


@pytest.fixture(params=LEDGERS, ids=list(LEDGERS))
def ledger(request, instance):
    return LEDGERS[request.param](instance)
