from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.ui.served import CHROMIUM, Project, Ui, browser, served

# In milliseconds; Playwright waits 5 s, which is short where other tests have the cores.
expect.set_options(timeout=30_000)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The demo catalogue, registered."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (tools/debian-packages.sh)")
    project = Project(tmp_path_factory.mktemp("ui"))
    project.klio("entities", "sync")
    return project


@pytest.fixture(scope="module")
def first_run(project: Project) -> str:
    """The id of the run that has computed the demo catalogue."""
    return project.klio("run")["run_id"]


@pytest.fixture(scope="module")
def ui(project: Project, first_run: str) -> Iterator[Ui]:
    with served(project) as ui:
        yield ui


# Of the module and not of the session: Playwright keeps an event loop running in this process, and
# Dagster cannot start one of its own beside it, in whatever test comes next.
@pytest.fixture(scope="module")
def _browser() -> Iterator[Browser]:
    with browser() as started:
        yield started


@pytest.fixture
def page(_browser: Browser) -> Iterator[Page]:
    with _browser.new_page(viewport={"width": 1600, "height": 900}) as page:
        yield page
