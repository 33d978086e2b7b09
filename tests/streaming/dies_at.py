"""A team that is killed at a durable step (`python -m tests.streaming.dies_at JSON`).

It takes a tick, and with `runs` the runs it requests, on the topics and in the folder of a team
that the test made. `at` names a function, the `nth` call of which kills the process, before or
after it has done its work.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any, cast

from klio_dagster.core.job import UpstreamTrigger
from tests.flows.catalogue import opened
from tests.services.pubsub import PROJECT, PubSubEmulator
from tests.streaming.maker import MAKER
from tests.streaming.team import Team


@dataclass(frozen=True)
class Death:
    """Where a team dies.

    Args:
        at: `module:function` or `module:Class.method`.
        after: the call that kills has done its work.
        nth: which call, from 1.
        runs: it executes the runs its tick requests.
    """

    at: str
    after: bool = False
    nth: int = 1
    runs: bool = False


@dataclass(frozen=True)
class Place:
    """The team to be.

    Args:
        folder: of its catalogue.
        host: of the emulator.
        names: topic and subscriptions, in the order a team makes them.
        hears: its topic.
        maker: topic of who makes its recordings.
        trigger: options.
    """

    folder: str
    host: str
    names: list[str]
    hears: str
    maker: str
    trigger: dict[str, float]

    def dies(self, death: Death) -> None:
        """Have a process take its place and die there."""
        told = json.dumps({"place": asdict(self), "death": asdict(death)})
        done = subprocess.run(
            [sys.executable, "-m", __name__, told], capture_output=True, text=True, check=False
        )
        assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]


class _Attached:
    """An emulator whose topics and subscriptions are there already."""

    project = PROJECT

    def __init__(self, host: str, names: list[str]) -> None:
        self.host = host
        self._names: Iterator[str] = iter(names)

    def new_topic(self) -> str:
        return next(self._names)

    def new_subscription(self, topic: str) -> str:
        return next(self._names)


def team_of(place: Place) -> Iterator[Team]:
    with opened(Path(place.folder)) as catalogue:
        yield Team(
            catalogue,
            cast("PubSubEmulator", _Attached(place.host, place.names)),
            hears=place.hears,
            upstream=UpstreamTrigger(MAKER, place.maker, **place.trigger),
        )


def _set(death: Death) -> None:
    module, _, path = death.at.partition(":")
    *owners, name = path.split(".")
    owner: Any = import_module(module)
    for each in owners:
        owner = getattr(owner, each)
    function: Callable[..., Any] = getattr(owner, name)
    calls = count(1)

    def dying(*arguments: Any, **options: Any) -> Any:
        is_it = next(calls) == death.nth
        if is_it and not death.after:
            os.kill(os.getpid(), signal.SIGKILL)
        done = function(*arguments, **options)
        if is_it:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    setattr(owner, name, dying)


def main(told: str) -> None:
    fields = json.loads(told)
    death = Death(**fields["death"])
    for team in team_of(Place(**fields["place"])):
        _set(death)
        for request in team.tick():
            if death.runs:
                team.run(request)


if __name__ == "__main__":
    main(sys.argv[1])
