"""Services elsewhere that do not answer in time: what was found before that is told."""

import json
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from klio_dagster.defs.engines import FlinkEngine
from klio_dagster.engine.beam import services
from klio_dagster.engine.remote import ask
from klio_dagster.engine.remote.job import Answer
from klio_dagster.observe.doctor import engines
from klio_dagster.observe.doctor.engines import EngineInUse, engine_check
from klio_dagster.observe.doctor.examine import examine
from klio_dagster.observe.doctor.finding import Finding
from tests.observe.doctored import of, verdicts
from tests.services.scripted_flink import ScriptedFlink

PORTABLE = {"kind": "portable", "job_endpoint": "127.0.0.1:1"}
ANSWER = '{"what": "slots", "said": "8", "verdict": "ok", "remedy": "", "figures": {}}'
SLOW_JAVA = """#!/bin/sh
echo "INFO looking for the cluster"
sleep 100
"""


def findings(script: str, monkeypatch: pytest.MonkeyPatch, within_s: float) -> Sequence[Finding]:
    """Asked by a process that does something else."""
    monkeypatch.setattr(engines, "_ASK", ("-c", f"import sys, time\n{script}"))
    engine = EngineInUse(
        options=PORTABLE, memory={}, transforms=[], is_deep=False, within_s=within_s
    )
    return examine([engine_check(engine)], within_s=60).findings


def test_what_a_service_answered_before_it_fell_silent_is_told(monkeypatch: pytest.MonkeyPatch):
    script = f"print({ANSWER!r}, flush=True); print('{{', end='', flush=True); time.sleep(60)"

    found = findings(script, monkeypatch, within_s=6)

    assert [(each.what, each.verdict.value) for each in found] == [
        ("slots", "ok"),
        ("service", "fail"),
    ]
    failed = of(found, "service")
    assert failed.said == "it takes longer than 6 s"
    assert failed.remedy.startswith("see that the service answers")
    assert "--timeout" in failed.remedy


def test_what_was_answered_before_the_asker_died_is_told(monkeypatch: pytest.MonkeyPatch):
    script = f"print({ANSWER!r}); sys.exit('no more of this')"

    found = findings(script, monkeypatch, within_s=60)

    assert verdicts(found) == {"slots": "ok", "service": "fail"}
    assert of(found, "service").said == "it ends with code 1: no more of this"
    assert "report it" in of(found, "service").remedy


def test_each_answer_is_said_before_the_next_question(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    heard: list[str] = []

    class Slow:
        def check(self, start_s: float) -> Iterator[Answer]:
            for number in range(2):
                heard.extend(capsys.readouterr().out.splitlines())
                yield Answer(f"question {number}", f"{start_s:g}")

    monkeypatch.setattr(services, "service_of", lambda _: Slow())
    monkeypatch.setattr(sys, "stdout", sys.stdout)  # it puts another in its place

    ask.main([json.dumps(PORTABLE), "30"])

    assert [json.loads(line)["what"] for line in heard] == ["question 0"]
    assert json.loads(heard[0])["said"] == "20", "a start has less time than all of it"


def test_a_job_server_that_does_not_listen_has_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    java = tmp_path / "java"
    java.write_text(SLOW_JAVA)
    java.chmod(java.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with ScriptedFlink() as cluster:
        engine = FlinkEngine(master=cluster.master, job_server_jar=str(java)).to_manifest()

        found = {each.what: each for each in ask.answers(json.dumps(engine), within_s=3)}

    assert {what: each.verdict.value for what, each in found.items()} == {
        "slots": "ok",
        "restarts": "ok",
        "service": "fail",
    }
    last_words = "did not listen in 2 s: INFO looking for the cluster"
    assert last_words in found["service"].said


def test_deep_workers_of_this_machine_can_import_the_transforms_or_it_is_told(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(engines, "_ASK", ("-c", f"print({ANSWER!r})"))
    here = EngineInUse(
        options=PORTABLE, memory={}, transforms=["nowhere:mel"], is_deep=True, within_s=60
    )
    elsewhere = replace(here, options={**PORTABLE, "job_endpoint": "there:1"})

    found = [examine([engine_check(each)], within_s=60).findings for each in (here, elsewhere)]

    assert [verdicts(each) for each in found] == [
        {"slots": "ok", "transforms": "fail"},
        {"slots": "ok"},
    ]
    assert "nowhere:mel" in of(found[0], "transforms").said
