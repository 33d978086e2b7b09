"""Ack ids told to Pub/Sub: in requests it takes, each followed until its fate is known."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from klio_dagster.errors import PubSubError
from klio_dagster.pubsub.connection import ANSWER_WITHIN_S, Pause, call_once
from klio_dagster.pubsub.failures import Concern, call_error, fates, is_transient

if TYPE_CHECKING:
    from google.api_core.exceptions import GoogleAPICallError

# A request may have 512 KiB. Ack ids have about 180 bytes, Google's own clients reckon with 500:
# 2,500 a request were refused (googleapis/google-cloud-rust#5222), 1,000 is what they send now.
IDS_A_REQUEST = 1_000


def refused(
    ids: Sequence[str],
    call: Callable[..., Any],
    request_of: Callable[[list[str]], object],
    concern: Concern,
) -> set[str]:
    """Send ids by `acknowledge` or `modify_ack_deadline`; those that were refused for good.

    A subscription with exactly-once delivery tells of each id what became of it, in the metadata
    of the error: the refused are left out, the others sent again. A plain one refuses none.

    Args:
        ids: any number.
        call: the transport's method.
        request_of: a request with some of the ids.
        concern: what it is about.

    Raises:
        PubSubError: what became of some of them is not known.
    """
    found: set[str] = set()
    for start in range(0, len(ids), IDS_A_REQUEST):
        some = list(ids[start : start + IDS_A_REQUEST])
        found |= _refused_of_one_request(some, call, request_of, concern)
    return found


def _refused_of_one_request(
    ids: list[str],
    call: Callable[..., Any],
    request_of: Callable[[list[str]], object],
    concern: Concern,
) -> set[str]:
    from google.api_core.exceptions import GoogleAPICallError

    found: set[str] = set()
    pause = Pause(ANSWER_WITHIN_S)
    while ids:
        try:
            call_once(call, request_of(ids), concern, timeout_s=pause.left_s)
        except GoogleAPICallError as error:
            fate = fates(error)
            for_good = {each for each in ids if fate.get(each, "").startswith("PERMANENT_")}
            for_now = any(fate.get(each, "").startswith("TRANSIENT_") for each in ids)
            found |= for_good
            ids = [each for each in ids if each not in for_good]
            if not (for_good or for_now or is_transient(error)):
                raise call_error(error, concern) from error
            # Without the refused ones it may well succeed at once.
            if (for_now or not for_good) and not pause.sleep():
                raise _undecided(len(ids), error, concern) from error
        else:
            break
    return found


def _undecided(count: int, error: "GoogleAPICallError", concern: Concern) -> PubSubError:
    said = call_error(error, concern)
    if said.transient:
        return said
    what = f"{count} deliveries could not be settled for now: {said.what}"
    return PubSubError(what, concern.where, "nothing to do: they come again", transient=True)
