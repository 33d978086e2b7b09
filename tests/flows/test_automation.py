"""The ready automation condition, as Dagster itself evaluates it."""

import dagster as dg

from klio_dagster.defs.decorator import source_assets
from klio_dagster.defs.resource import KlioResource
from tests.flows.backfill_defs import first_team, second_team
from tests.flows.catalogue import Catalogue

RANGE = {
    "dagster/asset_partition_range_start": "a",
    "dagster/asset_partition_range_end": "c",
}


class Automation:
    """Evaluations one after the other, of the group that follows.

    Args:
        catalogue: where.
        condition: of `size`; the one the group has when None.
    """

    def __init__(
        self, catalogue: Catalogue, condition: dg.AutomationCondition | None = None
    ) -> None:
        following = second_team
        if condition is not None:
            (following,) = dg.map_asset_specs(
                lambda spec: spec.replace_attributes(automation_condition=condition), [second_team]
            )
        self._definitions = dg.Definitions(
            assets=[first_team, following, *source_assets(first_team)],
            resources={"klio": KlioResource(store="unused")},
        )
        self._catalogue = catalogue
        self._cursor = None

    def asks_for(self) -> set[str]:
        """The entities of `size` that are requested now."""
        result = dg.evaluate_automation_conditions(
            self._definitions,
            self._catalogue.instance,
            asset_selection=dg.AssetSelection.assets("size"),
            cursor=self._cursor,
        )
        self._cursor = result.cursor
        return {key for key in result.get_requested_partitions(dg.AssetKey("size")) if key}


def put(catalogue: Catalogue, entities: str, text: bytes = b"some") -> None:
    for entity in entities:
        catalogue.put(f"tracks/{entity}.txt", text)


def computed_upstream(catalogue: Catalogue, **options: object) -> None:
    catalogue.run(first_team, second_team, select=["recording", "mel", "letters"], **options)


def test_new_and_changed_entities_are_asked_for_and_copies_are_not(catalogue: Catalogue) -> None:
    automation = Automation(catalogue)
    eager = Automation(catalogue, dg.AutomationCondition.eager())
    assert automation.asks_for() == eager.asks_for() == set()
    catalogue.register("a", "b", "c")
    put(catalogue, "abc")
    assert automation.asks_for() == set(), "there is nothing yet that it could be computed from"

    computed_upstream(catalogue, entities="all")
    assert automation.asks_for() == eager.asks_for() == {"a", "b", "c"}
    catalogue.run(first_team, second_team, select=["size"], entities="all")
    assert automation.asks_for() == eager.asks_for() == set()

    computed_upstream(catalogue, tags=RANGE)
    assert automation.asks_for() == set()
    assert eager.asks_for() == {"a", "b", "c"}, "or there is no need for a condition of ours"

    put(catalogue, "b", b"another")
    computed_upstream(catalogue, entities="all")
    assert automation.asks_for() == {"b"}


def test_what_is_computed_in_the_same_run_is_not_asked_for(catalogue: Catalogue) -> None:
    automation = Automation(catalogue)
    automation.asks_for()
    catalogue.register("a")
    put(catalogue, "a")

    catalogue.run(first_team, second_team, entities="all")

    assert automation.asks_for() == set()


def test_a_failed_entity_is_asked_for_when_its_input_changes_and_not_before(
    catalogue: Catalogue,
) -> None:
    automation = Automation(catalogue)
    automation.asks_for()
    catalogue.register("a")
    put(catalogue, "a")
    computed_upstream(catalogue, entities="all")
    assert automation.asks_for() == {"a"}

    (catalogue.folder / "recording/a.json").unlink()
    assert not catalogue.run(first_team, second_team, select=["size"], entities="all").success
    assert [automation.asks_for() for _ in range(3)] == [set(), set(), set()]

    put(catalogue, "a", b"another")
    computed_upstream(catalogue, entities="all")
    assert automation.asks_for() == {"a"}
