"""The transform that does nothing."""

from klio_dagster.core.entity import Entity


def nothing(entity: Entity) -> dict[str, str]:
    """The id, as an output has to be something."""
    return {"id": entity.id}
