"""A team whose recordings somebody else makes, who is not here: what he is asked, and answers."""

from klio_dagster.core.job import JobId, UpstreamTrigger
from klio_dagster.core.letter import Asked as Line
from klio_dagster.core.letter import Letter
from klio_dagster.message import (
    Message,
    decode,
    encode,
    extended,
    new_message,
    request_upstream,
)
from klio_dagster.store.kept import Unasked, Waiting, all_waiting, put_waiting
from tests.flows.catalogue import Catalogue
from tests.services.pubsub import PROJECT, PubSubEmulator
from tests.streaming.team import Team

MAKER = JobId(PROJECT, "maker")


def team_below(
    catalogue: Catalogue, emulator: PubSubEmulator, topic: str, **options: float
) -> Team:
    """One whose recordings are made by somebody who is not here."""
    return Team(catalogue, emulator, upstream=UpstreamTrigger(MAKER, topic, **options))


class Asked:
    """What the maker hears."""

    def __init__(self, team: Team, emulator: PubSubEmulator, topic: str) -> None:
        self._pubsub = team.pubsub
        self._subscription = emulator.new_subscription(topic)

    def __call__(self) -> list[Message]:
        """What it was asked since this was called last."""
        subscription = self._pubsub.subscription(self._subscription)
        received = subscription.pull()
        subscription.acknowledge(received)
        return [decode(each.data, job=MAKER) for each in received]


def waiting(team: Team) -> list[str]:
    return sorted(w.asked.entity for w in all_waiting(team.catalogue.store, "recording"))


def of(team: Team, message: Message) -> Message:
    """The request as it goes up."""
    return request_upstream(message, team.job, MAKER)


def answer(team: Team, message: Message) -> bytes:
    """The request as it comes back."""
    request = extended(of(team, message), team.job, 1.0)
    return encode(extended(request, MAKER, 2.0))


def let_wait(team: Team, number: int) -> None:
    """So many entities wait, and were asked for."""
    for n in range(number):
        data = encode(new_message(f"track-{n}"))
        asked = Line(entity=f"track-{n}", letters=(Letter(data=data, forward=data),))
        waiting = Waiting(asset="recording", sensor=team.sensor.name, asked=asked)
        put_waiting(team.catalogue.store, Unasked("", "1-aaaaaaaa-bbbbbbbb", 0.0), waiting)
