import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from klio_dagster.streaming import retry_sensor
from tests.flows.catalogue import Catalogue, opened
from tests.services.pubsub import PubSubEmulator
from tests.streaming.retrier import Retrier
from tests.streaming.team import Team


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    with opened(tmp_path) as catalogue:
        yield catalogue


@pytest.fixture
def team(catalogue: Catalogue, pubsub_emulator: PubSubEmulator) -> Team:
    return Team(catalogue, pubsub_emulator)


@pytest.fixture
def maker_hears(pubsub_emulator: PubSubEmulator) -> str:
    """The topic of somebody who makes recordings, and is not here."""
    return pubsub_emulator.new_topic()


@pytest.fixture
def retrier(team: Team, monkeypatch: pytest.MonkeyPatch) -> Retrier:
    """Three attempts; every pause is over at the next tick."""
    retrier = Retrier(team)
    clock = SimpleNamespace(time=lambda: time.time() + retrier.later_s)
    monkeypatch.setattr(retry_sensor, "time", clock)
    monkeypatch.setattr(retry_sensor, "time_at", lambda _store: clock.time())
    return retrier
