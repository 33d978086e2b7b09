"""The transform that does nothing."""

from klio_dagster.core.entity import Entity


def nothing(entity: Entity) -> dict[str, str]:
    """The id, as an output has to be something."""
    return {"id": entity.id}


def passed_on(recording: dict[str, str]) -> dict[str, str]:
    """What it got."""
    return recording


def passed_on_twice(recording: dict[str, str], mel: dict[str, str]) -> dict[str, str]:
    """What it got."""
    return recording | mel
