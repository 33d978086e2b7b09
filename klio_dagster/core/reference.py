"""A transform by name (`module:name`) and back, and how its parameters are bound to inputs."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

from klio_dagster.errors import ConfigError

Transform = Callable[..., Any]


def reference_of(transform: Transform, owner: str | None = None, what: str = "transform") -> str:
    """The name a worker imports the transform by, `module:qualified.name`.

    Args:
        transform: a function or a class.
        owner: whose transform it is, for the error message: `asset 'mel'`.
        what: what it is there, for the error message.

    Raises:
        ConfigError: no worker could import it (a lambda, a function inside a function, `__main__`).
    """
    module = getattr(transform, "__module__", None)
    name = getattr(transform, "__qualname__", None)
    own_name = f"{what} {name or transform!r}"
    where = f"{owner}, {own_name}" if owner else own_name
    if not isinstance(module, str) or not isinstance(name, str):
        raise ConfigError(
            "it has no name a worker could import it by",
            where=where,
            fix="use a function or a class of a module",
        )
    if inspect.ismethod(transform) and not isinstance(transform.__self__, type):
        raise ConfigError(
            "it is a method of an object, which a worker does not have",
            where=where,
            fix="use a class: it is made once a worker and then called",
        )
    if "<" in name:
        raise ConfigError(
            "it is a lambda or defined inside a function, where a worker cannot import it",
            where=where,
            fix="define it with `def` at the top of a module",
        )
    if module == "__main__":
        raise ConfigError(
            "it is defined in the script that was started, which a worker cannot import",
            where=where,
            fix="move it into a module of its own",
        )
    return f"{module}:{name}"


def resolve(reference: str, what: str = "transform") -> Transform:
    """The object a reference names.

    Args:
        reference: `module:qualified.name`.
        what: what it is, for the error message.

    Raises:
        ConfigError: the module or the name in it does not exist.
    """
    module, _, name = reference.partition(":")
    try:
        found: object = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"it cannot be imported ({error})",
            where=f"{what} '{reference}'",
            fix="check that the module is installed where the workers run",
        ) from error
    return cast("Transform", found)


@dataclass(frozen=True, slots=True)
class Signature:
    """The parameters of a transform, by where they are given.

    Args:
        call: name to "has a default", of the parameters of each call.
        setup: the same of the constructor, when the transform is a class.
        takes_anything: the call has `**kwargs`.
    """

    call: Mapping[str, bool]
    setup: Mapping[str, bool]
    takes_anything: bool


def signature_of(transform: Transform, where: str) -> Signature:
    """The parameters of a function, or of a class' constructor and call.

    Raises:
        ConfigError: it has no signature, or parameters that can only be given by position.
    """
    if not isinstance(transform, type):
        call, takes_anything = _named(transform, where)
        return Signature(call, {}, takes_anything)
    # Not `hasattr`: of a class that answers for its metaclass, which makes instances.
    if not any("__call__" in vars(each) for each in transform.__mro__):
        raise ConfigError("the class has no __call__", where=where, fix="give it one")
    call, takes_anything = _named(transform.__call__, where, skip_self=True)
    has_constructor = transform.__init__ is not object.__init__
    setup = _named(transform.__init__, where, skip_self=True)[0] if has_constructor else {}
    return Signature(call, setup, takes_anything)


def source_annotation(transform: Transform) -> object:
    """The annotation of the parameter `source`; None when there is none."""
    function = transform.__call__ if isinstance(transform, type) else transform
    parameter = inspect.signature(function).parameters.get("source")
    if parameter is None or parameter.annotation is inspect.Parameter.empty:
        return None
    return parameter.annotation


def _named(
    function: Transform, where: str, *, skip_self: bool = False
) -> tuple[dict[str, bool], bool]:
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as error:
        raise ConfigError(
            "its parameters cannot be read", where=where, fix="wrap it in a function of your own"
        ) from error
    named: dict[str, bool] = {}
    takes_anything = False
    for parameter in parameters[1:] if skip_self else parameters:
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            takes_anything = True
        elif parameter.kind is inspect.Parameter.POSITIONAL_ONLY:
            raise ConfigError(
                f"parameter '{parameter.name}' can only be given by position",
                where=where,
                fix="inputs are bound by name: drop the '/'",
            )
        elif parameter.kind is not inspect.Parameter.VAR_POSITIONAL:
            named[parameter.name] = parameter.default is not inspect.Parameter.empty
    return named, takes_anything
