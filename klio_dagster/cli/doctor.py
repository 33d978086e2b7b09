"""`klio doctor`: whether all that is configured can be reached and used, and what to do if not."""

import logging
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby

import click

from klio_dagster.cli.ending import SOME_FAILED
from klio_dagster.cli.examined import Opening, configured, secrets_of
from klio_dagster.cli.output import common, example, print_json
from klio_dagster.cli.project import open_project
from klio_dagster.core.wording import counted
from klio_dagster.observe.doctor.checkup import examined
from klio_dagster.observe.doctor.finding import Finding, Verdict

_TIMEOUT_S = 20.0
_PROCESS_S = 90.0  # with empty caches an interpreter takes its time to import Beam
_COLOURS = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.FAIL: "red"}


@click.command(
    epilog=example("klio doctor", "klio doctor --deep", "klio doctor --timeout 60 --json")
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=1),
    default=_TIMEOUT_S,
    metavar="SECONDS",
    help="How long a store, a topic or the database may take, and a process if that is more"
    " than 90. Default: 20.",
)
@click.option("--deep", is_flag=True, help="Also start a driver, and import every transform.")
@common
def doctor(timeout_s: float, deep: bool, as_json: bool) -> int:
    """See whether all that is configured can be reached and used, and what to do if not.

    Looks at every store, source, subscription and topic of the project, at Dagster's storage and
    daemon, at the engine and at the libraries of its workers: there, permitted, fast enough, clocks
    right. Small objects are written and removed again, in each store below _klio/doctor/ and in
    Dataflow's temp_location and staging_location; nothing else is written anywhere. What does not
    answer in time hides nothing else. Exit code 1 if something does not work; warnings are none.
    """
    process_s = max(timeout_s, _PROCESS_S)
    logging.disable(logging.WARNING)  # what libraries say of their tries, the findings say better
    try:
        opening = Opening(timeout_s)
        with open_project(None, opening) as project:
            parts = configured(project, opening, is_deep=deep, process_s=process_s)
            found = examined(
                parts, within_s=timeout_s, process_s=process_s, secrets=secrets_of(project)
            )
    finally:
        logging.disable(logging.NOTSET)
    if as_json:
        print_json(_to_json(found.findings))
    else:
        for line in _lines(found.findings):
            click.echo(line)
    code = SOME_FAILED if _count(found.findings)[Verdict.FAIL] else 0
    if found.hangs or opening.hangs:
        # Python would end a thread in the middle of a library's call, and some abort over that.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _to_json(findings: Sequence[Finding]) -> dict[str, object]:
    counts = _count(findings)
    return {
        **{verdict.value: counts[verdict] for verdict in Verdict},
        "findings": [finding.to_json() for finding in findings],
    }


def _count(findings: Sequence[Finding]) -> Counter[Verdict]:
    return Counter(finding.verdict for finding in findings)


def _lines(findings: Sequence[Finding]) -> Iterator[str]:
    for (subject, where), group in groupby(findings, lambda each: (each.subject, each.where)):
        yield click.style(f"{subject} {where}", bold=True)
        found = list(group)
        silent = [each.what for each in found if each.verdict is Verdict.OK and not each.said]
        if silent:
            yield _line(Verdict.OK, ", ".join(silent))
        for each in found:
            if each.said:
                yield _line(each.verdict, f"{each.what}: {each.said}")
            if each.remedy:
                yield f"        {each.remedy}"
    counts = _count(findings)
    yield (
        f"\n{counts[Verdict.OK]:,} ok, {counted(counts[Verdict.WARN], 'warning')},"
        f" {counts[Verdict.FAIL]:,} failed"
    )


def _line(verdict: Verdict, text: str) -> str:
    return f"  {click.style(verdict.value.ljust(4), fg=_COLOURS[verdict])}  {text}"
