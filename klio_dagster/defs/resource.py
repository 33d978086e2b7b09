"""`KlioResource`: where a group's outputs lie, what computes them, and who is told of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from klio_dagster.defs.engines import DataflowEngine, Engine, LocalEngine
from klio_dagster.defs.execute import execute
from klio_dagster.defs.folder import project_folder
from klio_dagster.defs.group import group_of
from klio_dagster.defs.pubsub import PubSubConfig
from klio_dagster.errors import ConfigError
from klio_dagster.ledger.internals.definitions import finished_outputs
from klio_dagster.store.access import Access
from klio_dagster.store.store import Store


class KlioResource(dg.ConfigurableResource[Any]):
    """The store and the engine of entity assets, and the Pub/Sub they publish to."""

    store: str = Field(
        default="data",
        description="Where outputs, receipts and relative sources lie: a folder (relative to the "
        "folder of workspace.yaml) or a URL.",
    )
    store_options: dict[str, str] = Field(
        default={},
        description="Settings and credentials of a store that is a URL, and of other buckets of"
        " its kind that are read; without any, the environment's count.",
    )
    source_options: dict[str, dict[str, str]] = Field(
        default={},
        description="The same for sources elsewhere, by bucket: 's3://bucket', or 's3://' for all.",
    )
    engine: Engine = Field(
        default_factory=LocalEngine,
        discriminator="kind",
        description="What executes the Beam pipeline.",
    )
    pubsub: PubSubConfig = Field(
        default_factory=PubSubConfig,
        description="The Pub/Sub that messages go to, a KlioPubSubResource.",
    )

    if not TYPE_CHECKING:  # who writes one is shown the fields

        def __init__(self, **fields: object) -> None:
            # Dagster 1.13.0 takes no default of a field with a discriminator.
            fields.setdefault("engine", LocalEngine())
            super().__init__(**fields)

    def run(self, *, context: dg.AssetExecutionContext) -> Iterator[Any]:
        """Compute what the run asks for and is not done yet.

        Everything is recorded in batches while it is computed; what is yielded only lets the ops
        begin that depend on this one.

        Raises:
            ConfigError: `@klio_assets` did not make the op, or something is configured wrongly.
            Failure: an entity failed; everything is recorded.
            PubSubError: what is recorded could not be passed on; the next run does that.
        RunError: the run as a whole could not go on.
        """
        group = group_of(context.assets_def)
        if group is None:
            raise ConfigError(
                "it was not made by @klio_assets",
                where=f"op '{context.op_execution_context.op.name}'",
                fix="decorate it with @klio_assets",
            )
        store = self.open_store()
        self._check_reachable(store)
        execute(context, group, store, self.engine.to_manifest(), self.pubsub)
        selected = group.names_of(key.to_user_string() for key in context.selected_asset_keys)
        yield from finished_outputs(context, (group.keys[name] for name in selected))

    def _check_reachable(self, store: Store) -> None:
        """Raise before machines are paid for that find nothing.

        Raises:
            ConfigError: the engine's workers do not have the store.
        """
        is_elsewhere = isinstance(self.engine, DataflowEngine) and not self.engine.endpoint
        if is_elsewhere and store.local_path("") is not None:
            raise ConfigError(
                "it is a folder of this machine, which Dataflow's workers do not have",
                where=f"store '{self.store}'",
                fix="keep outputs in a bucket (KlioResource(store='gs://...'))",
            )

    def open_store(self, base: Path | None = None) -> Store:
        """The store.

        Args:
            base: what a relative folder starts from; the project's folder when None.

        Raises:
            ConfigError: its URL or an option is wrong.
        """
        return Store.open(
            self.store,
            base=base or project_folder(Path.cwd()) or Path.cwd(),
            options=self.store_options,
            access=Access(self.source_options),
        )
