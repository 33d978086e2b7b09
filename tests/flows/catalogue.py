"""One test's store and Dagster instance, and runs of entity assets in this process."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg

from klio_dagster.codecs.json import Json
from klio_dagster.core.asset import EntityAsset, EntityStep
from klio_dagster.core.plan import Plan
from klio_dagster.core.request import Request
from klio_dagster.defs.decorator import klio_assets, source_assets
from klio_dagster.defs.engines import LocalEngine
from klio_dagster.defs.group import EntityGroup, group_of
from klio_dagster.defs.knowledge import gather
from klio_dagster.defs.metadata import metadata_of
from klio_dagster.defs.partitions import register
from klio_dagster.defs.resource import KlioResource
from klio_dagster.ledger.in_flight import in_flight
from klio_dagster.ledger.ledger import Ledger, ledger_of
from klio_dagster.store.layout import failures_path, manifest_head, summary_path
from klio_dagster.store.store import Store
from tests.flows import flow_jobs as jobs

TRACKS = dg.DynamicPartitionsDefinition(name="tracks")
ENTITY_RUN = {"dagster/defer_asset_events": "true"}


def group(
    *assets: EntityStep,
    name: str = "work",
    partitions_def: dg.DynamicPartitionsDefinition = TRACKS,
) -> dg.AssetsDefinition:
    """A group as a user writes it."""

    @klio_assets(partitions_def=partitions_def, assets=assets, name=name)
    def compute(context: dg.AssetExecutionContext, klio: KlioResource):
        yield from klio.run(context=context)

    return compute


def tracks(factor: int = 1) -> dg.AssetsDefinition:
    """recording -> mel -> report; `factor` is a parameter of mel."""
    return group(
        EntityAsset("recording", jobs.text, source="tracks/{entity}.txt", output=Json()),
        EntityAsset(
            "mel", jobs.length, deps=["recording"], params={"factor": factor}, output=Json()
        ),
        EntityAsset("report", jobs.report, deps=["recording", "mel"], output=Json()),
    )


def all_of(number: int) -> dict[str, int]:
    """The same number for each asset of `tracks()`."""
    return dict.fromkeys(("recording", "mel", "report"), number)


def computed_tracks(catalogue: "Catalogue") -> None:
    """Compute a and b."""
    catalogue.register("a", "b")
    catalogue.put("tracks/a.txt", b"first")
    catalogue.put("tracks/b.txt", b"second")
    assert catalogue.run(tracks(), entities="all").counts("materialized") == all_of(2)


@dataclass(frozen=True)
class Outcome:
    """How a run ended, as the run itself says.

    Args:
        run_id: Dagster's id.
        success: the run succeeded.
        error: of the step that failed: type and message.
        metadata: of the `Failure` that ended the step.
        summary: what was counted, None when the run ended before that.
        log: the lines the run wrote.
    """

    run_id: str
    success: bool
    error: str
    metadata: Mapping[str, dg.MetadataValue]
    summary: Mapping[str, Any] | None
    log: Sequence[str]

    def counts(self, state: str) -> dict[str, int]:
        """Asset to how many were `materialized`, `skipped` or `failed`."""
        assert self.summary is not None, self.error
        return {asset: counts[state] for asset, counts in self.summary["assets"].items()}

    @property
    def failures(self) -> dict[tuple[str, str | None], str]:
        """(entity, asset) of each root cause to its error."""
        assert self.summary is not None, self.error
        return {(f["entity"], f["asset"]): f["error"] for f in self.summary["failures"]}


class Catalogue:
    """A store and an instance in a folder.

    Args:
        folder: of the test.
        instance: Dagster's.
    """

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.folder = folder / "store"
        self.store = Store.open(str(self.folder))
        self.instance = instance

    @property
    def ledger(self) -> Ledger:
        return ledger_of(self.instance, describe=metadata_of)

    def register(self, *entities: str, partitions: str = "tracks") -> None:
        register(self.instance, partitions, entities)

    def put(self, path: str, data: bytes) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)

    def run(
        self,
        *assets: dg.AssetsDefinition | dg.AssetSpec,
        select: Sequence[str] | None = None,
        checks: Sequence[dg.AssetCheckKey] | None = None,
        partition_key: str | None = None,
        tags: Mapping[str, str] = ENTITY_RUN,
        resources: Mapping[str, KlioResource] | None = None,
        **config: object,
    ) -> Outcome:
        """Run the groups among these assets, with this run config for each of them.

        `checks` selects those alone, without their assets.
        """
        klio = KlioResource(store=str(self.folder), engine=LocalEngine(workers=2))
        groups = [a for a in assets if isinstance(a, dg.AssetsDefinition) and group_of(a)]
        keys = [dg.AssetKey(key.split("/")) for key in select or ()]
        running = [g for g in groups if not keys or set(keys) & set(g.keys)]
        looks = dg.define_asset_job("looks", dg.AssetSelection.checks(*(checks or ())))
        defs = dg.Definitions(
            assets=[*assets, *source_assets(*groups)],
            jobs=[looks] if checks else [],
            resources={"klio": klio, **(resources or {})},
            executor=dg.in_process_executor,
        )
        job = (
            defs.resolve_job_def("looks")
            if checks
            else defs.resolve_implicit_global_asset_job_def()
        )
        result = job.execute_in_process(
            instance=self.instance,
            run_config={"ops": {g.node_def.name: {"config": config} for g in running}},
            tags=dict(tags) if partition_key is None else {},
            asset_selection=None if checks else keys or [key for g in groups for key in g.keys],
            partition_key=partition_key,
            raise_on_error=False,
        )
        return self._outcome(result)

    def plan(self, assets: dg.AssetsDefinition, *entities: str) -> Plan:
        """What a run would decide now."""
        made = the_group(assets)
        names = [asset.name for asset in made.chain.assets]
        gathered = gather(
            made,
            Request(entities=entities),
            names,
            ledger=self.ledger,
            store=self.store,
            partitioned=(),
            in_flight=in_flight(self.store, list(made.keys.values()), entities),
        )
        return gathered.plan(made)

    def reasons(self, assets: dg.AssetsDefinition, entity: str) -> dict[str, str]:
        """Asset to the reason of its verdict for one entity."""
        plan = self.plan(assets, entity)
        return {asset: verdicts[entity].reason for asset, verdicts in plan.verdicts.items()}

    def load(self, path: str) -> Any:
        """A JSON output."""
        return json.loads(self.store.get(path))

    def materialized(self, asset: str) -> set[str]:
        return self.instance.get_materialized_partitions(dg.AssetKey(asset.split("/")))

    def has_manifest(self, run_id: str) -> bool:
        """A driver was started in that run."""
        return self.store.exists(manifest_head(run_id))

    def failure_list(self, run_id: str) -> list[dict[str, Any]]:
        lines = self.store.get(failures_path(run_id)).splitlines()
        return [json.loads(line) for line in lines]

    def summary(self, run_id: str) -> bytes | None:
        """What a run has written of itself; it may have died before."""
        file = self.folder / summary_path(run_id)
        return file.read_bytes() if file.is_file() else None

    def _outcome(self, result: dg.ExecuteInProcessResult) -> Outcome:
        error, metadata = "", {}
        for event in result.get_step_failure_events():
            data = event.step_failure_data
            if data.user_failure_data is not None:
                error, metadata = (
                    data.user_failure_data.description or "",
                    dict(data.user_failure_data.metadata),
                )
            elif data.error is not None:
                # Dagster's own error about the step comes first, then what was raised in it.
                error = (data.error.cause or data.error).message.strip()
        summary = self.summary(result.run_id)
        entries = self.instance.all_logs(result.run_id)
        return Outcome(
            run_id=result.run_id,
            success=result.success,
            error=error,
            metadata=metadata,
            summary=json.loads(summary) if summary else None,
            log=[entry.user_message for entry in entries if entry.dagster_event is None],
        )


def the_group(assets: dg.AssetsDefinition) -> EntityGroup:
    made = group_of(assets)
    assert made is not None
    return made


@contextmanager
def home_in(folder: Path) -> Iterator[dg.DagsterInstance]:
    """Dagster's instance in a test's folder, which may be empty; processes may share it."""
    home = folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    with dg.DagsterInstance.local_temp(str(home)) as instance:
        yield instance


@contextmanager
def opened(folder: Path) -> Iterator[Catalogue]:
    """The catalogue in a folder, which may be empty."""
    with home_in(folder) as instance:
        yield Catalogue(folder, instance)
