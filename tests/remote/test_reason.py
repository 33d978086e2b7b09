"""Of pages of stack traces, people see the error of their own code."""

import pytest

from klio_dagster.engine.beam.reason import reason_of

FLINK = """java.util.concurrent.ExecutionException: java.lang.RuntimeException: Error
\tat java.base/java.util.concurrent.CompletableFuture.reportGet(CompletableFuture.java)
Caused by: java.lang.RuntimeException: Error from SDK 5: Traceback (most recent call last):
  File "apache_beam/runners/common.py", line 1500, in process
  File "/srv/klio_dagster/engine/beam/process.py", line 29, in process
klio_dagster.errors.RunError: run 1: 3 workers died at their start; read what they printed

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "apache_beam/runners/common.py", line 1502, in process
RuntimeError: klio_dagster.errors.RunError: run 1: 3 workers died; read it [while running 'e']

\tat java.base/java.util.concurrent.CompletableFuture.get(CompletableFuture.java:2073)
"""
OURS = "run 1: 3 workers died; read it"
DATAFLOW = "Workflow failed. Causes: Project p has insufficient quota(s) to execute this workflow"


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        pytest.param([FLINK], f"RunError: {OURS}", id="a Flink cluster's trace"),
        pytest.param(
            [FLINK, "Workflow failed."], f"RunError: {OURS}", id="what is said last says less"
        ),
        pytest.param([DATAFLOW], DATAFLOW, id="no trace"),
        pytest.param([" ", ""], "", id="nothing"),
        pytest.param(
            ["Traceback (most recent call last):\n  File x\nKeyError: 'a' [while running 's']"],
            "KeyError: 'a'",
            id="Python's own",
        ),
    ],
)
def test_the_reason_is_one_line_that_says_what_was_wrong(texts: list[str], reason: str) -> None:
    assert reason_of(texts) == reason
