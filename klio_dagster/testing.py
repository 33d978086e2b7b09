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

    Args:
        parts: `EntityAsset`s and `EntityStep`s.
        entity: entity id.
        sources: source pattern to the bytes of the recording.
        select: the assets to compute, all when None; the others are loaded from the store.
        store: where outputs lie; a new one in memory when None.

    Raises:
        ConfigError: the parts do not fit together.
    """
    chain = Chain(parts)
    store = store or MemoryStore()
    paths: dict[str, str] = {}
    for number, (pattern, data) in enumerate((sources or {}).items()):
        paths[pattern] = f"sources/{number}"
        store.put(paths[pattern], data)
    names = [a.name for a in chain.assets if select is None or a.name in select]
    manifest = Manifest(
        run="test",
        store=store.url,
        parts=(),
        chain=part_specs(chain, chain.order, code_versions(chain), {}),
        engine={"kind": "local"},
    )
    receipts: dict[str, Receipt] = {}

    def keep(receipt: Receipt) -> None:
        receipts[receipt.asset] = receipt

    task = Task(entity=entity, run=names, sources=paths, versions=dict.fromkeys(paths, "test"))
    EntityChain(manifest, store, keep, lambda _asset, _part: None).run(task)
    return Computed(receipts, store)
