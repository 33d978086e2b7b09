"""For users' tests: a chain of entity assets computed in memory, without Dagster and Beam."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from klio_dagster.codecs.registry import codec_from_json
from klio_dagster.core.asset import EntityStep
from klio_dagster.core.code_version import code_versions
from klio_dagster.core.graph import Chain
from klio_dagster.core.manifest import Manifest, Task, part_specs
from klio_dagster.core.receipt import Receipt
from klio_dagster.engine.chain import EntityChain
from klio_dagster.store.memory import MemoryStore
from klio_dagster.store.objects import ObjectStore


@dataclass(frozen=True, slots=True)
class Computed:
    """What a chain did for one entity.

    Args:
        receipts: asset to its receipt: metadata, versions, or why it failed.
        store: holds the outputs.
    """

    receipts: Mapping[str, Receipt]
    store: ObjectStore

    def load(self, asset: str) -> object:
        """The value that consumers of an asset get.

        Raises:
            KeyError: the asset was not computed.
            AssertionError: it failed; the message is the error.
        """
        receipt = self.receipts[asset]
        if receipt.failure is not None:
            raise AssertionError(f"{asset}: {receipt.failure}")
        path = receipt.uri.removeprefix(self.store.uri(""))
        return codec_from_json(receipt.codec).load(self.store.get(path), where=path)


def run_chain(
    parts: Sequence[EntityStep],
    entity: str = "test",
    *,
    sources: Mapping[str, bytes] | None = None,
    select: Collection[str] | None = None,
    store: ObjectStore | None = None,
) -> Computed:
    """Compute assets for one entity in this process.

    What fails with a transient error is tried again at once.

    Args:
        parts: `EntityAsset`s and `EntityStep`s.
        entity: entity id.
        sources: source pattern to the bytes of the recording.
        select: the assets to compute, all when None; the others are loaded from the store.
        store: where outputs lie; a new one in memory when None.

    Raises:
        ConfigError: the parts do not fit together.
    """
    given = {entity: sources or {}}
    return run_chains(parts, [entity], sources=given, select=select, store=store)[entity]


def run_chains(
    parts: Sequence[EntityStep],
    entities: Sequence[str],
    *,
    sources: Mapping[str, Mapping[str, bytes]] | None = None,
    select: Collection[str] | None = None,
    store: ObjectStore | None = None,
) -> Mapping[str, Computed]:
    """Compute assets for some entities in this process, in batches where `batch_size` says so.

    Args:
        parts: `EntityAsset`s and `EntityStep`s.
        entities: entity ids.
        sources: entity to source pattern to the bytes of the recording.
        select: the assets to compute, all when None; the others are loaded from the store.
        store: where outputs lie; a new one in memory when None.

    Returns:
        What the chain did for each entity.

    Raises:
        ConfigError: the parts do not fit together.
    """
    chain = Chain(parts)
    store = store or MemoryStore()
    names = [a.name for a in chain.assets if select is None or a.name in select]
    tasks: list[Task] = []
    for entity in entities:
        paths: dict[str, str] = {}
        for pattern, data in (sources or {}).get(entity, {}).items():
            paths[pattern] = f"sources/{len(tasks)}-{len(paths)}"
            store.put(paths[pattern], data)
        versions = dict.fromkeys(paths, "test")
        tasks.append(Task(entity=entity, run=names, sources=paths, versions=versions))
    manifest = Manifest(
        run="test",
        store=store.url,
        parts=(),
        chain=part_specs(chain, chain.order, code_versions(chain), {}),
        engine={"kind": "local"},
    )
    receipts: dict[str, dict[str, Receipt]] = {entity: {} for entity in entities}

    def keep(receipt: Receipt) -> None:
        receipts[receipt.entity][receipt.asset] = receipt

    EntityChain(manifest, store, keep, lambda _beginning: None).run(tasks)
    return {entity: Computed(found, store) for entity, found in receipts.items()}
