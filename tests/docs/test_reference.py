"""What is looked up is complete: commands, public names and their parameters, reasons, fields."""

import inspect
import re

import click
import pytest

import klio_dagster
from klio_dagster import KlioRunConfig
from klio_dagster.core.plan import RULES
from klio_dagster.core.receipt import Failure, Receipt
from klio_dagster.store import layout
from tests.docs.page import PAGES, ROOT, mentioned
from tools.cli_reference import PAGE as CLI_PAGE
from tools.cli_reference import commands, examples, reference

API = (ROOT / "docs" / "reference" / "api.md").read_text(encoding="utf-8")
PUBLIC = [name for name in klio_dagster.__all__ if name != "__version__"]
COMMANDS = dict(commands())


def test_the_command_line_page_is_what_its_tool_makes():
    assert CLI_PAGE.read_text(encoding="utf-8") == reference()


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_what_it_does_and_shows_it(name):
    command = COMMANDS[name]
    options = [each for each in command.params if isinstance(each, click.Option)]

    assert command.help
    assert examples(command)
    assert all(line.startswith(name) for line in examples(command))
    assert [option.name for option in options if not option.help] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_a_place_in_the_texts(name):
    texts = [page for page in PAGES if page != CLI_PAGE]

    assert any(line.startswith(name) for page in texts for line in mentioned(page, "klio"))


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_is_explained_with_every_parameter(name):
    section = re.search(rf"^### {name}$(.*?)(?=^##|\Z)", API, re.MULTILINE | re.DOTALL)
    assert section, f"api.md has no section '{name}'"

    said = section[1]

    assert [each for each in parameters(name) if f"`{each}`" not in said] == []
    assert [each for each in parameters(name) if each not in _signature(said, name)] == []


@pytest.mark.parametrize("row", RULES, ids=lambda row: row[0].reason)
def test_a_reason_of_the_plan_is_explained_with_its_decision(row):
    page = (ROOT / "docs" / "concepts" / "plan.md").read_text(encoding="utf-8")
    verdict, _ = row

    assert f"| `{verdict.reason}` | {verdict.decision} |" in page


def test_every_field_of_the_run_config_is_explained():
    page = (ROOT / "docs" / "reference" / "run-config.md").read_text(encoding="utf-8")

    assert [name for name in KlioRunConfig.model_fields if f"| `{name}` |" not in page] == []


def test_the_store_page_shows_every_path_and_every_field_of_a_receipt():
    page = (ROOT / "docs" / "reference" / "store.md").read_text(encoding="utf-8")
    run = "<run id>"
    paths = [
        make(run.replace(run, "x")).replace("/x/", f"/{run}/").removeprefix("_klio/")
        for make in (
            layout.claim_path,
            layout.compacted_receipts,
            layout.manifest_head,
            layout.failures_path,
            layout.summary_path,
        )
    ]
    good = Receipt(run="r", entity="e", asset="a", finished_at=1.0, figures={"x": b"1"}).to_line()
    bad = Receipt(
        run="r",
        entity="e",
        asset="a",
        finished_at=1.0,
        failure=Failure("E", "no"),
        earlier=["E: no"],
        notes=["x"],
    )
    fields = set(re.findall(rb'"(\w+)":', good + bad.to_line())) - {b"x"}

    assert [path for path in paths if path not in page] == []
    assert [name for name in map(bytes.decode, fields) if f"`{name}`" not in page] == []


def parameters(name):
    """What a caller may give; of a configuration its fields."""
    public = getattr(klio_dagster, name)
    if hasattr(public, "model_fields"):
        return [each for each in public.model_fields if each != "kind"]
    return [each for each in inspect.signature(public).parameters if each not in ("self", "args")]


def _signature(section, name):
    match = re.search(rf"^`{name}\((.*)\)`$", section, re.MULTILINE)
    assert match, f"the section '{name}' shows no signature"
    return match[1]
