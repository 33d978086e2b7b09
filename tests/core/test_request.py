"""Who asks for which entities."""

import pytest

from klio_dagster.core.request import ALL_CHANGES, Request, RerunOn
from klio_dagster.errors import ConfigError


def test_an_entity_asked_for_twice_is_refused_with_one_line():
    with pytest.raises(ConfigError, match="twice") as caught:
        Request(entities=["one", "two", "one"])

    assert len(str(caught.value).splitlines()) == 1


def test_who_asks_for_nothing_special_gets_what_is_new_or_changed():
    request = Request(entities=["one"])

    assert not request.force
    assert not request.forced
    assert not request.pinged
    assert request.rerun_on == ALL_CHANGES == {RerunOn.CODE, RerunOn.INPUT}


def test_a_change_is_called_in_a_request_as_it_is_called_in_a_plan():
    assert [RerunOn("code_changed"), RerunOn("input_changed")] == list(RerunOn)
