from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.catalogue import Catalogue, opened
from tests.services.pubsub import PubSubEmulator
from tests.streaming.team import Team


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    with opened(tmp_path) as catalogue:
        yield catalogue


@pytest.fixture
def team(catalogue: Catalogue, pubsub_emulator: PubSubEmulator) -> Team:
    return Team(catalogue, pubsub_emulator)
