"""What asks for tracks by itself: messages, changes of their sources, and failures."""

import dagster as dg

from klio_dagster import (
    build_klio_pubsub_sensor,
    build_klio_reconcile_sensor,
    build_klio_retry_sensor,
)

_SUBSCRIPTION = dg.EnvVar("TRACKS_SUBSCRIPTION")


def track_sensors(assets: dg.AssetsDefinition) -> list[dg.SensorDefinition]:
    """The sensors that ask for tracks.

    That of messages is switched on where the environment names a subscription: elsewhere there may
    be no Pub/Sub at all. The others rest until somebody switches them on in the UI.

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
        ),
        build_klio_reconcile_sensor(assets=assets),
        build_klio_retry_sensor(assets=assets),
    ]
