"""What asks for tracks from outside: messages."""

import dagster as dg

from klio_dagster import build_klio_pubsub_sensor

_SUBSCRIPTION = dg.EnvVar("TRACKS_SUBSCRIPTION")


def message_sensors(assets: dg.AssetsDefinition) -> list[dg.SensorDefinition]:
    """The sensors by which messages ask for tracks.

    They are switched on where the environment names a subscription. Elsewhere there may be no
    Pub/Sub at all: they can be seen in the UI, and rest.

    Args:
        assets: the group that computes tracks.
    """
    named = _SUBSCRIPTION.get_value()
    return [
        build_klio_pubsub_sensor(
            assets=assets,
            subscription=named or "tracks",
            default_status=(
                dg.DefaultSensorStatus.RUNNING if named else dg.DefaultSensorStatus.STOPPED
            ),
        )
    ]
