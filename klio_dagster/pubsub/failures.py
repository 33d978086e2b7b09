"""What Google's libraries raise, as one `PubSubError` of one line."""

from typing import TYPE_CHECKING, Literal, NamedTuple

from klio_dagster.errors import PubSubError
from klio_dagster.pubsub.settings import Settings, short_name

if TYPE_CHECKING:
    from google.api_core.exceptions import GoogleAPICallError
    from google.auth.exceptions import GoogleAuthError

_LOG_IN = "run `gcloud auth application-default login`, or name a key in credentials_file"


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
        """The command that mends it."""
        project, name = short_name(self.path)
        words = ["gcloud", "pubsub", f"{self.kind}s", action, name, f"--project={project}"]
        return f"`{' '.join([*words, *options])}`"


def call_error(error: "GoogleAPICallError", concern: Concern) -> PubSubError:
    """Our error for what the server answered, or for its silence.

    Args:
        error: as it was raised.
        concern: what the call was about.
    """
    from google.api_core import exceptions as google

    said = _one_line(error.message or type(error).__name__)
    if isinstance(error, google.NotFound):
        return _not_found(said, concern)
    if "metadata from plugin failed" in said:  # gRPC's words for credentials that give no token
        return PubSubError(f"the credentials were refused: {said}", concern.where, _LOG_IN)
    if isinstance(error, google.Unauthorized):
        return PubSubError(f"not logged in: {said}", concern.where, _LOG_IN)
    if isinstance(error, google.Forbidden):
        return _forbidden(error, said, concern)
    if isinstance(error, google.ResourceExhausted):
        fix = "send or pull less at once, or ask Google for a higher quota"
        return PubSubError(f"a limit was reached: {said}", concern.where, fix, transient=True)
    if isinstance(error, google.ServiceUnavailable | google.DeadlineExceeded):
        return _unreachable(said, concern)
    if is_transient(error):
        return PubSubError(f"it failed there: {said}", concern.where, "try again", transient=True)
    look = f"compare it with {concern.gcloud('describe')}"
    return PubSubError(f"refused: {said}", concern.where, look)


def is_transient(error: "GoogleAPICallError") -> bool:
    """Whether the same call may succeed in a moment."""
    from google.api_core import exceptions as google

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


def credentials_error(
    error: "GoogleAuthError | OSError | ValueError", settings: Settings
) -> PubSubError:
    """Our error for credentials that are not there or cannot be read.

    Args:
        error: as it was raised.
        settings: who was to be called.
    """
    from google.auth.exceptions import TransportError

    said = _one_line(str(error)).rstrip(".")
    if isinstance(error, TransportError):
        fix = "check the network"
        return PubSubError(f"nobody gave a token: {said}", settings.server, fix, transient=True)
    if settings.credentials_file is not None:
        where = f"credentials_file {settings.credentials_file!r}"
        return PubSubError(f"not usable: {said}", where, "name the key file of a service account")
    return PubSubError(
        "no credentials were found",
        settings.server,
        f"{_LOG_IN}, or set PUBSUB_EMULATOR_HOST to use an emulator",
    )


def _not_found(said: str, concern: Concern) -> PubSubError:
    if "project" in said.lower() and short_name(concern.path)[1] not in said:
        fix = "use the project's id (not its display name), and an account that may see it"
        return PubSubError(f"no such project: {said}", concern.where, fix)
    options = ["--topic=TOPIC"] if concern.kind == "subscription" else []
    fix = f"create it: {concern.gcloud('create', *options)}"
    return PubSubError(f"it does not exist on {concern.settings.server}", concern.where, fix)


def _forbidden(error: "GoogleAPICallError", said: str, concern: Concern) -> PubSubError:
    if error.reason == "SERVICE_DISABLED":
        project = short_name(concern.path)[0]
        fix = f"`gcloud services enable pubsub.googleapis.com --project={project}`"
        return PubSubError("Pub/Sub is not switched on in its project", concern.where, fix)
    grant = concern.gcloud("add-iam-policy-binding", "--member=WHO", f"--role={concern.role}")
    return PubSubError(f"not permitted: {said}", concern.where, f"grant {concern.role}: {grant}")


def _unreachable(said: str, concern: Concern) -> PubSubError:
    if concern.settings.emulator_host:
        fix = "start the emulator, or correct PUBSUB_EMULATOR_HOST"
    else:
        fix = "check the network; it is tried again by itself"
    what = f"{concern.settings.server} does not answer: {said}"
    return PubSubError(what, concern.where, fix, transient=True)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:500].rstrip(".")
