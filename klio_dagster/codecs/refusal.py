"""What a codec says about a value it does not store, or bytes it did not write.

Each answers with the three parts of an error's message: `raise EntityError(*refused_value(...))`.
"""


def refused_value(value: object, codec: str, wanted: str, fix: str) -> tuple[str, str, str]:
    """What, where and how to mend, for a value of the wrong type.

    Args:
        value: what the transform returned.
        codec: name of the codec as users write it.
        wanted: the kind of value it stores, with its article.
        fix: what to return instead, or which codec to use.
    """
    if value is None:
        what = f"the transform returned None, not {wanted}"
        return what, codec, "check that every path through the transform ends in a return"
    kind = type(value)
    home = "" if kind.__module__ == "builtins" else f"{kind.__module__.partition('.')[0]}."
    return f"the transform returned {home}{kind.__qualname__}, not {wanted}", codec, fix


def refused_bytes(where: str, wanted: str, why: object) -> tuple[str, str, str]:
    """What, where and how to mend, for stored bytes that a codec did not write.

    Args:
        where: the object they came from.
        wanted: what they should have been, with its article.
        why: what their reader says.
    """
    what = f"this is not {wanted} ({' '.join(str(why).split())})"
    return what, where, "compute it again with force"
