"""A manifest carried out by a real driver with real workers."""

from collections.abc import Mapping, Sequence

from klio_dagster.core.asset import EntityStep
from klio_dagster.core.code_version import code_versions
from klio_dagster.core.graph import Chain
from klio_dagster.core.manifest import Manifest, Task, part_specs
from klio_dagster.core.receipt import Receipt
from klio_dagster.engine.launch import carry_out
from klio_dagster.store.layout import manifest_head, manifest_part
from klio_dagster.store.store import Store


def written(
    store: Store,
    parts: Sequence[EntityStep],
    entities: Sequence[str],
    *,
    run: str = "run",
    select: Sequence[str] | None = None,
    sources: Mapping[str, Mapping[str, str]] | None = None,
    workers: int = 2,
) -> Manifest:
    """A manifest in the store: these assets of these entities."""
    chain = Chain(parts)
    names = [a.name for a in chain.assets if select is None or a.name in select]
    tasks = [Task(entity=e, run=names, sources=(sources or {}).get(e, {})) for e in entities]
    manifest = Manifest(
        run=run,
        store=store.url,
        parts=[manifest_part(run, 0)],
        chain=part_specs(chain, chain.order, code_versions(chain), {}),
        engine={"kind": "local", "workers": workers},
    )
    store.put(manifest.parts[0], "".join(task.to_line() for task in tasks).encode())
    store.put(manifest_head(run), manifest.to_json().encode())
    return manifest


def computed(store: Store, manifest: Manifest) -> tuple[dict[tuple[str, str], Receipt], str]:
    """The receipts by (asset, entity), each of which must come once, and what was printed."""
    receipts: dict[tuple[str, str], Receipt] = {}
    lines: list[str] = []

    def add(new: Sequence[Receipt]) -> None:
        for receipt in new:
            assert receipt.pair not in receipts
            receipts[receipt.pair] = receipt

    carry_out(manifest, store, on_receipts=add, on_output=lines.append)
    return receipts, "\n".join(lines)
