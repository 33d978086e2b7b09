"""Dead letters in a project's store, and the sensors for messages that they came through."""

from klio_dagster.store.dead_letter import put
from klio_dagster.store.store import Store
from tests.streaming.letters import dead

SENSORS = """
import dagster as dg
import definitions
from klio_dagster import KlioPubSubResource, build_klio_pubsub_sensor

def nothing(context):
    return dg.SkipReason("nothing came")

pubsub = KlioPubSubResource(project="my-project")
defs = dg.Definitions.merge(
    definitions.defs,
    dg.Definitions(
        sensors=[
            build_klio_pubsub_sensor(
                assets=definitions.sizes, subscription="in", pubsub=pubsub, name=name
            )
            for name in ("messages", "uploads")
        ] + [dg.SensorDefinition("of_something_else", evaluation_fn=nothing)],
    ),
)
"""


def store_of(project) -> Store:
    return Store.open(str(project.folder / "data"))


def keep(project, *names: str, **fields):
    kept = [dead(name, **{"group": "sizes", **fields}) for name in names]
    for each in kept:
        put(store_of(project), each)
    return kept[0]
