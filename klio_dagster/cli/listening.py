"""What the project's message sensor listens to: where `klio message publish` publishes."""

from typing import NamedTuple

from klio_dagster.cli.project import open_project
from klio_dagster.core.job import JobId
from klio_dagster.defs.messages import job_of
from klio_dagster.errors import ConfigError
from klio_dagster.pubsub.pull import Subscription
from klio_dagster.pubsub.settings import Settings
from klio_dagster.streaming.settings import message_sensors

_WHERE = "klio message publish"


class Listening(NamedTuple):
    """A message sensor of the project.

    Args:
        topic: full path of the topic it hears.
        job: who its group is in messages.
        settings: where Pub/Sub is.
    """

    topic: str
    job: JobId
    settings: Settings


def listening(sensor: str | None, options: str) -> Listening:
    """The sensor of this name, or the only one of the project.

    Args:
        sensor: its name; None: there is only one.
        options: what says the same on the command line, for messages.

    Raises:
        ConfigError: there is none, or several.
        PubSubError: its subscription cannot be looked at.
    """
    try:
        with open_project(None) as project:
            found = {
                name: (settings, settings.pubsub or each.pubsub)
                for each in project.groups
                for name, settings in message_sensors(each.location.repository.sensor_defs).items()
                if settings.group.name == each.group.name
            }
    except ConfigError as error:
        raise ConfigError(error.what, error.where, f"{error.fix}; or name {options}") from error
    names = ", ".join(sorted(found))
    if not found:
        what, fix = "the project has no message sensor to publish for", f"name {options}"
        raise ConfigError(what, where=_WHERE, fix=fix)
    if sensor is None and len(found) > 1:
        what, fix = (
            f"there are several message sensors: {names}",
            f"choose with --sensor, or name {options}",
        )
        raise ConfigError(what, where=_WHERE, fix=fix)
    if sensor is not None and sensor not in found:
        raise ConfigError(f"there is no sensor '{sensor}'", where=_WHERE, fix=f"there are: {names}")
    settings, pubsub = found[sensor] if sensor else next(iter(found.values()))
    subscription = Subscription(pubsub.settings(), settings.subscription)
    return Listening(
        subscription.topic(), job_of(settings.group, subscription.path), pubsub.settings()
    )
