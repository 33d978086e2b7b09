"""Jobs, and who makes a missing input: wrong ones are refused in one line."""

import pytest

from klio_dagster.core.job import JobId, UpstreamTrigger
from klio_dagster.errors import ConfigError

JOB, TOPIC = JobId("p", "maker"), "projects/p/topics/maker"


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        pytest.param({"topic": "maker"}, "topic is 'maker'", id="a short name"),
        pytest.param({"topic": "projects//topics/maker"}, "topic is", id="no project"),
        pytest.param({"topic": "projects/p/subscriptions/s"}, "topic is", id="a subscription"),
        pytest.param({"wait_s": 0}, "wait_s is 0", id="no time"),
        pytest.param({"wait_s": float("nan")}, "wait_s is nan", id="no number"),
        pytest.param({"look_every_s": -1}, "look_every_s is -1", id="less than always"),
    ],
)
def test_a_trigger_that_cannot_work_is_refused_when_it_is_made(wrong, what):
    with pytest.raises(ConfigError, match=what) as refused:
        UpstreamTrigger(**{"job": JOB, "topic": TOPIC, **wrong})

    assert str(refused.value).startswith("UpstreamTrigger of p::maker: ")


def test_a_job_without_a_name_is_refused():
    with pytest.raises(ConfigError, match="job_name is empty"):
        JobId("p", "")
