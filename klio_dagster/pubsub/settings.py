"""Where Pub/Sub is, who we are there, and the full names of topics and subscriptions."""

import os
import re
from dataclasses import KW_ONLY, dataclass

from klio_dagster.errors import ConfigError

EMULATOR_VARIABLE = "PUBSUB_EMULATOR_HOST"
PROJECT_VARIABLE = "GOOGLE_CLOUD_PROJECT"

_HOST_AND_PORT = re.compile(r"(\[[0-9a-fA-F:]+\]|[^\s/:\[\]]+):\d{1,5}")
# Cloud Pub/Sub's rules for resource names; "goog" at the beginning is Google's own.
_NAME = re.compile(r"(?!goog)[A-Za-z][A-Za-z0-9\-_.~+%]{2,254}")
_PATH = re.compile(r"projects/(?P<project>[^/\s]+)/(?P<kind>topics|subscriptions)/(?P<name>[^/]+)")


@dataclass(frozen=True, slots=True)
class Settings:
    """How Pub/Sub is reached. What is None or empty is taken from the environment.

    Args:
        project: Google Cloud project of short names; `GOOGLE_CLOUD_PROJECT` when None.
        emulator_host: `host:port` of an emulator, `PUBSUB_EMULATOR_HOST` when None. With one,
            no credentials are used.
        endpoint: `host` or `host:port` of a regional service, which ordering keys need to be
            told from: `europe-west1-pubsub.googleapis.com`. The global one when None.
        credentials_file: a service account's key; application default credentials when None.

    Raises:
        ConfigError: the emulator's host has another form.
    """

    project: str | None = None
    _: KW_ONLY
    emulator_host: str | None = None
    endpoint: str | None = None
    credentials_file: str | None = None

    def __post_init__(self) -> None:
        environ = os.environ
        project = self.project or environ.get(PROJECT_VARIABLE) or None
        host = self.emulator_host or environ.get(EMULATOR_VARIABLE) or None
        object.__setattr__(self, "project", project)
        object.__setattr__(self, "emulator_host", _emulator(host) if host else None)
        object.__setattr__(self, "endpoint", self.endpoint or None)
        object.__setattr__(self, "credentials_file", self.credentials_file or None)

    @property
    def server(self) -> str:
        """Who is called, for people."""
        if self.emulator_host:
            return f"emulator at {self.emulator_host}"
        return self.endpoint or "pubsub.googleapis.com"


def topic_path(settings: Settings, name: str) -> str:
    """`projects/<project>/topics/<name>`.

    Args:
        settings: name the project.
        name: a short name, or already the full path.

    Raises:
        ConfigError: it is neither, or the project is not known.
    """
    return _path(settings, name, "topics")


def check_topic(name: str) -> None:
    """Refuse what names no topic, whoever's it is.

    Args:
        name: a short name, or a full path.

    Raises:
        ConfigError: it is neither.
    """
    _is_full(name, "topics")


def subscription_path(settings: Settings, name: str) -> str:
    """`projects/<project>/subscriptions/<name>`.

    Args:
        settings: name the project.
        name: a short name, or already the full path.

    Raises:
        ConfigError: it is neither, or the project is not known.
    """
    return _path(settings, name, "subscriptions")


def short_name(path: str) -> tuple[str, str]:
    """Project and short name of a full path."""
    _, project, _, name = path.split("/", 3)
    return project, name


def _is_full(name: str, kind: str) -> bool:
    """Whether a name is a full path, not a short name.

    Raises:
        ConfigError: it is neither.
    """
    full = _PATH.fullmatch(name)
    if full and full["kind"] == kind and _NAME.fullmatch(full["name"]):
        return True
    if not _NAME.fullmatch(name):
        raise ConfigError(
            "no name that Pub/Sub takes",
            where=_what(name, kind),
            fix=f"use 3 to 255 letters, digits and -_.~+% that begin with a letter and not with "
            f"'goog', or projects/PROJECT/{kind}/NAME",
        )
    return False


def _path(settings: Settings, name: str, kind: str) -> str:
    if _is_full(name, kind):
        return name
    if settings.project is None:
        raise ConfigError(
            "its project is not known",
            where=_what(name, kind),
            fix="set project= of the KlioPubSubResource (pubsub= of the KlioResource or the "
            f"sensor) or {PROJECT_VARIABLE}, or name it in full: projects/PROJECT/{kind}/{name}",
        )
    return f"projects/{settings.project}/{kind}/{name}"


def _emulator(host: str) -> str:
    plain = host.removeprefix("http://").removesuffix("/")
    if not _HOST_AND_PORT.fullmatch(plain):
        raise ConfigError(
            "no host and port",
            where=f"emulator host {host!r}",
            fix=f"write it like 127.0.0.1:8085, in emulator_host= or {EMULATOR_VARIABLE}",
        )
    return plain


def _what(name: str, kind: str) -> str:
    return f"{kind.removesuffix('s')} {name!r}"
