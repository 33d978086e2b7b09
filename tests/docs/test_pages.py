"""Whoever types what README and docs say gets what they say.

`make` targets, `klio dev`, `klio view`, `klio image build` and `gcloud` are not executed, `klio
message` only where there is a server: see `page.py`.
"""

import re
import shlex

import click
import pytest

from klio_dagster.cli.main import klio
from tests.docs.page import PAGES, README, ROOT, Block, Reader, blocks, mentioned
from tools.cli_reference import PAGE as CLI_PAGE

DEAD_LETTERS = ROOT / "docs" / "how-to" / "dead-letters.md"
MESSAGES = ROOT / "docs" / "how-to" / "start-work-by-messages.md"
WITH_MORE = (README, CLI_PAGE, DEAD_LETTERS, MESSAGES)
OTHER_PAGES = [page for page in PAGES if page not in WITH_MORE and blocks(page)]
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")


def name_of(page):
    return str(page.relative_to(ROOT))


def test_the_readme_makes_a_project_from_nothing(reader_with_nothing):
    reader_with_nothing.follow(README)


def test_the_examples_of_the_command_line_work_in_the_reference_project(
    reader_of_the_reference_project,
):
    reader_of_the_reference_project.follow(CLI_PAGE)


def test_the_page_on_dead_letters_says_what_happens_to_them(reader_with_dead_letters):
    reader_with_dead_letters.follow(DEAD_LETTERS)


def test_messages_start_work_in_the_project_of_the_readme(reader_with_pubsub):
    reader_with_pubsub.follow(MESSAGES)


@pytest.mark.parametrize("page", OTHER_PAGES, ids=name_of)
def test_a_page_says_what_happens_in_the_project_of_the_readme(page, reader):
    reader.follow(page)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_names_commands_and_options_that_exist(page):
    for line in mentioned(page, "klio"):
        _check(line)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_names_targets_of_make_that_exist(page):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")

    for line in mentioned(page, "make"):
        target = line.split()[1]
        assert re.search(rf"^{target}:.*## ", makefile, re.MULTILINE), line


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=name_of)
def test_a_link_of_a_page_leads_somewhere(page):
    targets = LINK.findall(page.read_text(encoding="utf-8"))

    assert [each for each in targets if not (page.parent / each).exists()] == []


def test_a_page_that_says_something_wrong_is_found(tmp_path):
    reader = Reader(tmp_path)
    wrong = {
        "another-output": "```console\n$ echo one\ntwo\n```\n",
        "another-exit-code": "```console\n$ false\n```\n",
        "python-that-raises": "```python\nassert 1 == 2\n```\n",
        "nobody-executes-it": "```perl\n1\n```\n",
    }

    found = [name for name, text in wrong.items() if _is_wrong(reader, name, text)]

    assert found == list(wrong)


def test_a_block_that_names_a_file_is_its_content():
    assert Block("python", "# jobs.py\nx = 1\n", 1).file == "jobs.py"
    assert Block("python", "x = 1  # jobs.py\n", 1).file is None


def _is_wrong(reader, name, text):
    page = reader.folder / f"{name}.md"
    page.write_text(text, encoding="utf-8")
    try:
        reader.follow(page)
    except AssertionError:
        return True
    return False


def _check(line):
    """A command line names a command and options it has.

    Arguments are not looked at: in a text `ENTITY` stands for one.
    """
    words = shlex.split(line, comments=True)[1:]
    command, name = klio, "klio"
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        word = words.pop(0)
        found = command.get_command(click.Context(command), word)
        assert found is not None, f"{line}: {name} has no command {word}"
        command, name = found, f"{name} {word}"
    known = {"--help"}
    for parameter in command.params:
        known |= {*parameter.opts, *parameter.secondary_opts}
    asked = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert asked <= known, f"{line}: {name} has no option {', '.join(asked - known)}"
