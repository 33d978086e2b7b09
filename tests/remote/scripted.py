"""A job whose service says what a test wants it to."""

from collections.abc import Sequence

from klio_dagster.engine.remote.job import Bill, JobInfo, Look, Message, State
from klio_dagster.errors import KlioError
from tests.services.scripted import next_of

SHOWN = {
    State.WAITING: "PENDING",
    State.RUNNING: "RUNNING",
    State.CANCELLING: "CANCELLING",
    State.DONE: "DONE",
    State.FAILED: "FAILED",
    State.CANCELLED: "CANCELLED",
}


def at(state: State, *messages: Message) -> Look:
    return Look(state, SHOWN[state], messages)


class ScriptedJob:
    """Answers each look with the next of its answers, and the last one for ever.

    Args:
        answers: looks, or errors to be raised.
        when_cancelled: what it answers from then on; None: cancelling changes nothing.
        why: its error.
        refuses: what each order to cancel it is answered with.
    """

    info = JobInfo(engine="flink", id="j-1", name="klio-run", url="http://there/j-1")

    def __init__(
        self,
        *answers: Look | KlioError,
        when_cancelled: Sequence[Look] | None = None,
        why: str = "",
        refuses: KlioError | None = None,
    ) -> None:
        self._answers: list[Look | KlioError] = list(answers)
        self._when_cancelled = when_cancelled
        self._why, self._refuses = why, refuses
        self.looks = self.cancels = 0

    def look(self) -> Look:
        self.looks += 1
        answer = next_of(self._answers)
        if isinstance(answer, KlioError):
            raise answer
        return answer

    def cancel(self) -> None:
        self.cancels += 1
        if self._refuses is not None:
            raise self._refuses
        if self._when_cancelled is not None:
            self._answers = list(self._when_cancelled)

    def error(self) -> str:
        return self._why

    def bill(self) -> Bill:
        return Bill({"TotalVcpuTime": 3.0})

    def close(self) -> None:
        """Nothing is held."""
