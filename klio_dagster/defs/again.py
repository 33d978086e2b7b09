"""Which materialisations a run of partitions records again, because it skips them."""

from collections.abc import Sequence

from klio_dagster.core.plan import Decision
from klio_dagster.defs.group import EntityGroup
from klio_dagster.defs.planning import Round


def known_already(
    planned: Round, group: EntityGroup, partitions: Sequence[str]
) -> dict[str, list[int]]:
    """Asset key to the storage ids of what is neither computed nor failed in this round.

    Args:
        planned: what the round does.
        group: the group.
        partitions: those Dagster waits for; some may not be in the plan (`entities: failed`).
    """
    known: dict[str, list[int]] = {}
    if not planned.is_first:
        entities = set(planned.plan.entities)
        partitions = [entity for entity in partitions if entity in entities]
    for name, verdicts in planned.plan.verdicts.items():
        records = planned.gathered.knowledge.records.get(name, {})
        for entity in partitions:
            verdict, record = verdicts.get(entity), records.get(entity)
            if verdict is not None and verdict.decision is not Decision.SKIP:
                continue
            # What a live run has finished and not recorded has no storage id: its own event comes
            # after Dagster planned ours, which is as good as a copy.
            if record is None or record.failed or record.storage_id is None:
                continue
            known.setdefault(group.keys[name], []).append(record.storage_id)
    return known
