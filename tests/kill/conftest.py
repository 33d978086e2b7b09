from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kill.stream import Stream
from tests.kill.warm import Warm
from tests.services.pubsub import PubSubEmulator


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    with Warm() as warm:
        yield warm


@pytest.fixture
def stream(tmp_path: Path, pubsub_emulator: PubSubEmulator) -> Stream:
    return Stream(tmp_path, pubsub_emulator)


@pytest.fixture
def upstream(tmp_path: Path, pubsub_emulator: PubSubEmulator) -> Stream:
    """A stream with somebody who makes missing recordings."""
    return Stream(tmp_path, pubsub_emulator, upstream=True, trigger={"look_every_s": 0.0})
