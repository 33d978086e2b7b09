"""What `klio status` says of messages that are not finished."""

from pathlib import Path

from klio_dagster.core.letter import Asked, Letter
from klio_dagster.store.inbox import write_batch
from klio_dagster.store.store import Store

SENSOR = """
from klio_dagster import KlioPubSubResource, build_klio_pubsub_sensor

defs = dg.Definitions.merge(
    defs,
    dg.Definitions(
        sensors=[
            build_klio_pubsub_sensor(
                assets=sizes,
                subscription="sizes",
                pubsub=KlioPubSubResource(gcp_project="p"),
            )
        ]
    ),
)
"""


def take_in(folder: Path, sensor: str) -> None:
    write_batch(Store.open(str(folder)), sensor, [Asked(entity="a", letters=(Letter(data=b"x"),))])


def test_what_is_in_the_inbox_is_counted(project):
    definitions = (project.folder / "definitions.py").read_text()
    project.write("definitions.py", definitions + SENSOR)
    before = project.klio("status")
    take_in(project.folder / "data", "messages_sizes")
    take_in(project.folder / "data", "messages_sizes")

    after = project.klio("status")

    assert "inbox" not in before.out
    assert after.out.endswith("\n2 batches of messages in the inbox (messages_sizes 2)\n")
    assert project.klio("status", "--json").json["inbox"] == {"messages_sizes": 2}


def test_batches_of_a_sensor_that_was_renamed_are_told(project):
    take_in(project.folder / "data", "renamed")

    told = project.klio("status")
    as_json = project.klio("status", "--json").json

    assert "\n1 batch of messages in the inbox (renamed 1)\n" in told.out
    assert told.out.splitlines()[-1].startswith(
        "no message sensor of this workspace is named 'renamed', so nobody"
    )
    assert as_json["inbox_without_sensor"] == ["renamed"]


OTHERS = """
import dagster as dg
from clip_jobs import size
from klio_dagster import EntityAsset, Json, KlioResource, klio_assets

@klio_assets(
    partitions_def=dg.DynamicPartitionsDefinition(name="clips"),
    assets=[EntityAsset("length", size, source="clips/{entity}.raw", output=Json())],
)
def lengths(context: dg.AssetExecutionContext, klio: KlioResource):
    yield from klio.run(context=context)

defs = dg.Definitions(assets=[lengths], resources={"klio": KlioResource(store="data")})
"""


def test_a_sensor_of_what_is_not_selected_is_a_sensor_all_the_same(project):
    definitions = (project.folder / "definitions.py").read_text()
    project.write("definitions.py", definitions + SENSOR)
    project.write("others.py", OTHERS)
    workspace = (project.folder / "workspace.yaml").read_text()
    other = "  - python_module:\n      module_name: others\n"
    project.write("workspace.yaml", workspace + other)
    take_in(project.folder / "data", "messages_sizes")

    told = project.klio("status", "--select", "length", "--json")

    assert told.json["inbox"] == {"messages_sizes": 1}
    assert "inbox_without_sensor" not in told.json
