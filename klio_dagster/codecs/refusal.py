"""What a codec says about a value it does not store, or bytes it did not write."""

from klio_dagster.errors import EntityError


def refused_value(value: object, codec: str, wanted: str, fix: str) -> EntityError:
    """The error for a value of the wrong type.

    Args:
        value: what the transform returned.
        codec: name of the codec as users write it.
        wanted: the kind of value it stores, with its article.
        fix: what to return instead, or which codec to use.
    """
    if value is None:
        return EntityError(
            f"the transform returned None, not {wanted}",
            where=codec,
            fix="check that every path through the transform ends in a return",
        )
    kind = type(value)
    home = "" if kind.__module__ == "builtins" else f"{kind.__module__.partition('.')[0]}."
    return EntityError(
        f"the transform returned {home}{kind.__qualname__}, not {wanted}", where=codec, fix=fix
    )


def refused_bytes(where: str, wanted: str, why: object = None) -> EntityError:
    """The error for stored bytes that are not what a codec writes.

    Args:
        where: the object they came from.
        wanted: what they should have been, with its article.
        why: what their reader says, where that helps.
    """
    reason = "" if why is None else f" ({' '.join(str(why).split())})"
    return EntityError(
        f"this is not {wanted}{reason}", where=where, fix="compute it again with force"
    )
