"""What is stored though a check did not pass: the outputs that a `warn` flags."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from klio_dagster.core.record import FlaggedPair
from klio_dagster.defs.checks import checks_of
from klio_dagster.defs.group import EntityGroup
from klio_dagster.ledger.ledger import Ledger


def flagged_of(
    group: EntityGroup,
    selected: Collection[str],
    ledger: Ledger,
    entities: Sequence[str] | None = None,
) -> list[FlaggedPair]:
    """The flagged outputs of a group, by asset, entity and check.

    What failed at its last attempt is not among them: the check spoke of an output that was not
    stored.

    Args:
        group: the group.
        selected: names of its assets that are meant.
        ledger: Dagster's log.
        entities: only these; all when None.

    Raises:
        LedgerError: Dagster's log cannot be read.
    """
    found: list[FlaggedPair] = []
    for asset in group.chain.assets:
        checks = [name for name, _, _ in checks_of(asset)]
        if asset.name in selected and checks:
            key = group.keys[asset.name]
            flagged = ledger.flagged(key, checks, entities)
            failed = {
                pair.entity for pair in ledger.failures([key], [pair.entity for pair in flagged])
            }
            found += sorted(pair for pair in flagged if pair.entity not in failed)
    return found


def counted_flags(flagged: Iterable[FlaggedPair]) -> Mapping[str, Mapping[str, int]]:
    """Asset key to check to how many outputs it flags."""
    counts: dict[str, dict[str, int]] = {}
    for pair in flagged:
        by_check = counts.setdefault(pair.asset, {})
        by_check[pair.check] = by_check.get(pair.check, 0) + 1
    return counts
