"""The transform that does nothing."""

from klio_dagster.core.entity import Entity


def nothing(entity: Entity) -> dict[str, str]:
    """The id, as an output has to be something."""
    return {"id": entity.id}


def passed_on(entity: Entity, first: dict[str, str], value: int) -> dict[str, str | int]:  # noqa: ARG001 - one entity's
    """The id of the input, and a number that tells one output from another."""
    return {**first, "value": value}


def recording_of(recording: dict[str, str]) -> dict[str, str]:
    """What it got."""
    return recording


def recording_and_mel(recording: dict[str, str], mel: dict[str, str]) -> dict[str, str]:
    """What it got."""
    return recording | mel


def size_of(entity: Entity, source: bytes) -> dict[str, str | int]:
    """How much there was to read."""
    return {"id": entity.id, "bytes": len(source)}
