"""What Google's libraries raise, as one `PubSubError` of one line."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, cast

from klio_dagster.errors import PubSubError
from klio_dagster.pubsub.settings import EMULATOR_VARIABLE, Settings, short_name

if TYPE_CHECKING:
    from google.api_core.exceptions import GoogleAPICallError

_LOG_IN = "run `gcloud auth application-default login`, or name a key in credentials_file"
# gRPC reports a token it could not get as a server that does not answer: what is in the text tells
# a refusal (OAuth's own words, RFC 6749 §5.2) from a network that is down.
_NO_TOKEN = "metadata from plugin failed"  # noqa: S105 (gRPC's words, not a token)
_REFUSED = re.compile(r"invalid_(grant|client|scope|request)|unauthorized_client|[Rr]eauthenticat")
_TOO_LARGE = "message larger than max"  # gRPC's words for a limit of ours or of the server's


class Concern(NamedTuple):
    """What a call is about.

    Args:
        kind: of the resource.
        path: full name of it.
        role: what one needs there to do it.
        settings: of the server.
    """

    kind: Literal["topic", "subscription"]
    path: str
    role: str
    settings: Settings

    @property
    def where(self) -> str:
        """For people."""
        return f"{self.kind} '{self.path}'"

    def gcloud(self, action: str, *options: str) -> str:
        """The command that shows or mends it, where it is."""
        project, name = short_name(self.path)
        words = ["gcloud", "pubsub", f"{self.kind}s", action, name, f"--project={project}"]
        emulator = self.settings.emulator_host
        of_emulator = [
            f"CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB=http://{emulator}/",
            "CLOUDSDK_AUTH_DISABLE_CREDENTIALS=true",
        ]
        return f"`{' '.join([*(of_emulator if emulator else []), *words, *options])}`"


def call_error(error: "GoogleAPICallError", concern: Concern) -> PubSubError:
    """Our error for what the server answered, or for its silence.

    Args:
        error: as it was raised.
        concern: what the call was about.
    """
    from google.api_core import exceptions as google

    said, where = _said(error), concern.where
    if isinstance(error, google.NotFound):
        return _not_found(said, concern)
    if _NO_TOKEN in said:
        return _no_token(said, concern)
    if isinstance(error, google.Unauthorized):
        return PubSubError(f"not logged in: {said}", where, _LOG_IN)
    if isinstance(error, google.Forbidden):
        return _forbidden(error, said, concern)
    if isinstance(error, google.ResourceExhausted):
        fix = "send or pull less at once, or ask Google for a higher quota"
        return PubSubError(f"a limit was reached: {said}", where, fix, is_transient(error))
    if isinstance(error, google.ServiceUnavailable | google.DeadlineExceeded):
        return _unreachable(said, concern)
    if is_transient(error):
        return PubSubError(f"it failed there: {said}", where, "try again", transient=True)
    fix = f"compare it with {concern.gcloud('describe')}"
    return PubSubError(f"refused: {said}", where, fix)


def is_transient(error: "GoogleAPICallError") -> bool:
    """Whether the same call may succeed in a moment."""
    from google.api_core import exceptions as google

    if is_too_large(error) or (_NO_TOKEN in _said(error) and _REFUSED.search(_said(error))):
        return False
    return isinstance(
        error,
        google.ServiceUnavailable
        | google.DeadlineExceeded
        | google.ResourceExhausted
        | google.Aborted
        | google.Cancelled
        | google.InternalServerError
        | google.Unknown,
    )


def is_too_large(error: "GoogleAPICallError") -> bool:
    """Whether what was to be sent or received is more than gRPC lets through at once."""
    return _TOO_LARGE in _said(error)


def fates(error: "GoogleAPICallError") -> Mapping[str, str]:
    """What became of each ack id, where a subscription with exactly-once delivery tells it."""
    told = cast("Mapping[str, str] | None", cast("Any", error).metadata)
    return told or {}


def credentials_error(error: Exception, settings: Settings) -> PubSubError:
    """Our error for credentials that are not there or cannot be read.

    Args:
        error: as it was raised.
        settings: who was to be called.
    """
    from google.auth.exceptions import TransportError

    said = _one_line(str(error))
    if isinstance(error, TransportError):
        fix = "check the network; it is tried again by itself"
        what = f"nobody gives a token: {said}"
        return PubSubError(what, settings.server, fix, transient=True)
    if settings.credentials_file is not None:
        where = f"credentials_file {settings.credentials_file!r}"
        return PubSubError(f"not usable: {said}", where, "name the key file of a service account")
    # Google's own text goes on with advice and an address.
    no_file = said.startswith("Your default credentials were not found")
    what = "no credentials were found" if no_file else f"no credentials: {said}"
    fix = f"{_LOG_IN}, or set {EMULATOR_VARIABLE} to use an emulator"
    return PubSubError(what, settings.server, fix)


def _not_found(said: str, concern: Concern) -> PubSubError:
    if "project not found" in said.lower():
        fix = "use the project's id (not its display name), and an account that may see it"
        return PubSubError(f"no such project: {said}", concern.where, fix)
    options = ["--topic=TOPIC"] if concern.kind == "subscription" else []
    fix = f"create it: {concern.gcloud('create', *options)}"
    return PubSubError(f"it does not exist on {concern.settings.server}", concern.where, fix)


def _no_token(said: str, concern: Concern) -> PubSubError:
    reason = said.partition("error: ")[2] or said
    if _REFUSED.search(said):
        return PubSubError(f"the credentials were refused: {reason}", concern.where, _LOG_IN)
    fix = "check the network; it is tried again by itself"
    return PubSubError(f"nobody gives a token: {reason}", concern.where, fix, transient=True)


def _forbidden(error: "GoogleAPICallError", said: str, concern: Concern) -> PubSubError:
    if cast("Any", error).reason == "SERVICE_DISABLED":
        project = short_name(concern.path)[0]
        fix = f"run `gcloud services enable pubsub.googleapis.com --project={project}`"
        return PubSubError("Pub/Sub is not switched on in its project", concern.where, fix)
    grant = concern.gcloud("add-iam-policy-binding", "--member=WHO", f"--role={concern.role}")
    return PubSubError(f"not permitted: {said}", concern.where, f"grant {concern.role}: {grant}")


def _unreachable(said: str, concern: Concern) -> PubSubError:
    if concern.settings.emulator_host:
        fix = f"start the emulator, or correct {EMULATOR_VARIABLE}"
    else:
        fix = "check the network; it is tried again by itself"
    what = f"{concern.settings.server} does not answer: {said}"
    return PubSubError(what, concern.where, fix, transient=True)


def _said(error: "GoogleAPICallError") -> str:
    return _one_line(cast("str", error.message) or type(error).__name__)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:400].rstrip(".")
