"""What a `warn` check did not pass is stored, and whoever asks is told."""

import pytest

CHECKS = """
from klio_dagster import Check, CheckResult

def is_long(size, least):
    return CheckResult(size["bytes"] >= least, description=f"only {size['bytes']} bytes")

LONG = Check(is_long, severity="warn", params={"least": 6})
"""
FLAG = "check 'is_long' failed: only 5 bytes"


@pytest.fixture
def flagged(project):
    """Two clips that a warning flags, a long one that it does not, and a broken one."""
    project.write("clip_checks.py", CHECKS)
    text = (project.folder / "definitions.py").read_text()
    text = text.replace(
        "output=Json()),\n        EntityAsset(",
        "output=Json(), checks=[LONG]),\n        EntityAsset(",
        1,
    )
    project.write("definitions.py", f"from clip_checks import LONG\n{text}")
    for name, content in (
        ("one", "sound"),
        ("two", "noise"),
        ("long", "a sound"),
        ("bad", "broken"),
    ):
        project.clip(name, content)
    project.klio("entities", "sync")
    assert project.klio("run").code == 1
    return project


def test_flagged_outputs_are_told_by_status_failures_and_explain(flagged):
    status = flagged.klio("status")
    failures = flagged.klio("failures")
    explained = flagged.klio("explain", "one")
    of_one = flagged.klio("failures", "--entity", "one")

    assert status.out.endswith(
        "4 entities\n2 outputs flagged by checks (size: is_long 2): klio failures\n"
    )
    assert failures.out.endswith(
        "1 output is blocked by them\n"
        "size: 2 flagged by checks, and stored\n"
        "  2 x check 'is_long' failed: only # bytes\n"
        "      one, two\n"
    )
    assert f"  flagged: {FLAG}\n" in explained.out
    assert of_one.out == (f"nothing failed\nsize: 1 flagged by checks, and stored\n  one: {FLAG}\n")
    assert "flagged: " not in flagged.klio("explain", "long").out


def test_programs_read_which_outputs_are_flagged(flagged):
    status = flagged.klio("status", "--json").json
    failures = flagged.klio("failures", "--json").json

    assert status["flagged"] == {"size": {"is_long": 2}}
    assert failures["flagged"] == [
        {"asset": "size", "entity": entity, "check": "is_long", "description": "only 5 bytes"}
        for entity in ("one", "two")
    ]


def test_an_output_that_passes_again_and_one_that_fails_are_no_longer_flagged(flagged):
    flagged.clip("one", "a longer sound")
    flagged.clip("two", "broken")

    flagged.klio("run")

    assert "flagged" not in flagged.klio("status").out + flagged.klio("failures").out


def test_what_is_not_selected_is_not_told(flagged):
    assert "flagged" not in flagged.klio("status", "--select", "double").out
