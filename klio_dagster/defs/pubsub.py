"""`KlioPubSubResource`: where Pub/Sub is, as configuration."""

from typing import Any

import dagster as dg
from pydantic import Field

from klio_dagster.errors import ConfigError
from klio_dagster.pubsub.publish import Publisher
from klio_dagster.pubsub.pull import Subscription
from klio_dagster.pubsub.settings import Settings


class PubSubConfig(dg.Config):
    """Where Pub/Sub is, as part of another resource's configuration.

    Dagster's nested resources have no defaults, and warn in every run.
    """

    project: str | None = Field(
        default=None,
        description="Google Cloud project of topics and subscriptions that are given by their "
        "short names; GOOGLE_CLOUD_PROJECT by default.",
    )
    emulator_host: str | None = Field(
        default=None,
        description="host:port of an emulator; PUBSUB_EMULATOR_HOST by default.",
    )
    endpoint: str | None = Field(
        default=None,
        description="A regional service, europe-west1-pubsub.googleapis.com; the global one by "
        "default.",
    )
    credentials_file: str | None = Field(
        default=None,
        description="Key file of a service account; application default credentials by default.",
    )

    def settings(self) -> Settings:
        """What is configured, with the environment's values filled in.

        Raises:
            ConfigError: a variable that an `EnvVar` names is not set, or a value is wrong.
        """
        return Settings(
            self._value("project"),
            emulator_host=self._value("emulator_host"),
            endpoint=self._value("endpoint"),
            credentials_file=self._value("credentials_file"),
        )

    def subscription(self, name: str) -> Subscription:
        """A subscription to pull from.

        Args:
            name: short name or full path.

        Raises:
            ConfigError: no name of a subscription, or something is configured wrongly.
        """
        return Subscription(self.settings(), name)

    def publisher(self) -> Publisher:
        """What publishes to any topic.

        Raises:
            ConfigError: something is configured wrongly.
        """
        return Publisher(self.settings())

    def _value(self, name: str) -> str | None:
        """A field; of an `EnvVar`, which Dagster fills in only in a run, what it stands for.

        Raises:
            ConfigError: the variable is not set.
        """
        value = getattr(self, name)
        if not isinstance(value, dg.EnvVar):
            return value
        found = value.get_value()
        if found is None:
            variable = value.env_var_name
            raise ConfigError(
                f"the variable {variable} is not set",
                where=f"{name} of the KlioPubSubResource",
                fix=f"set {variable}, or leave {name} out",
            )
        return found


class KlioPubSubResource(PubSubConfig, dg.ConfigurableResource[Any]):
    """Google Cloud Pub/Sub, or its emulator.

    What is not set comes from the environment, as with Google's own tools.
    """
