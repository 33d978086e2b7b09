"""What a terminal gets to see."""

import io

import click

from klio_dagster.cli.output import table
from klio_dagster.cli.progress import progress_shown
from klio_dagster.core.ids import printable
from klio_dagster.core.receipt import Receipt
from klio_dagster.engine.progress import Progress


def test_numbers_stand_right_with_separators_and_names_left():
    shown = click.unstyle(table([["mel", 1200], ["features", 3]], ["asset", "done"]))

    assert shown == "asset      done\nmel       1,200\nfeatures      3"


def test_a_table_without_rows_is_its_heading():
    assert click.unstyle(table([], ["asset", "done"])) == "asset  done"


def test_an_id_cannot_command_the_terminal():
    assert printable("Für Elise") == "Für Elise"
    assert printable("a\x1b[2Jb") == r"'a\x1b[2Jb'"


def test_a_terminal_gets_a_bar_with_done_failed_and_left():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    progress = Progress(2, lambda: 0.0)
    progress.add([Receipt(run="r", entity="a", asset="mel", finished_at=1.0)])

    with progress_shown(terminal, "mel") as watch:
        watch(progress)

    assert "1 done, 0 failed, 1 left of 2" in terminal.getvalue()


def test_without_a_terminal_lines_come_now_and_then(monkeypatch):
    times = iter([0.0, 1.0, 6.0, 6.0, 7.0])
    monkeypatch.setattr("klio_dagster.cli.progress.time.monotonic", lambda: next(times))
    stream = io.StringIO()
    progress = Progress(2, lambda: 0.0)

    with progress_shown(stream, "mel") as watch:
        for _ in range(3):
            watch(progress)

    assert stream.getvalue() == "mel: 0 done, 0 failed, 2 left of 2\n"
