"""The automatic code version: hash of a transform's syntax tree and parameters."""

import ast
import hashlib
import inspect
import json
import textwrap
from collections.abc import Iterator, Mapping

from klio_dagster.core.asset import EntityAsset, EntityStep
from klio_dagster.core.graph import Chain
from klio_dagster.core.reference import Transform, reference_of
from klio_dagster.errors import ConfigError

# `ctx` follows from the place of a name; the others only say how something was written.
_NOT_MEANING = frozenset({"ctx", "kind", "type_comment"})
_HEX_DIGITS = 16


def code_versions(chain: Chain) -> Mapping[str, str]:
    """Code version of each asset and step; a step's is part of its consumers'.

    Helpers that a transform calls are not covered: give `code_version` when they change.

    Raises:
        ConfigError: the source of a transform cannot be read and no `code_version` is given.
    """
    versions: dict[str, str] = {}
    for name in chain.order:
        part = chain.part(name)
        steps = {
            dep.name: versions[dep.name]
            for dep in part.dependencies
            if not dep.is_outside and not isinstance(chain.part(dep.name), EntityAsset)
        }
        own = part.code_version or _automatic(part)
        versions[name] = _hash([own, steps]) if steps else own
    return versions


def syntax_hash(source: str) -> str:
    """Hash of what a source says: no comments, formatting or docstrings.

    The same on every supported Python: fields that a later version added and that are empty do
    not count.
    """
    tree = ast.parse(textwrap.dedent(source))
    digest = hashlib.sha256()
    for token in _tokens(tree):
        digest.update(token.encode("utf-8", "surrogatepass") + b"\0")
    return digest.hexdigest()[:_HEX_DIGITS]


def _automatic(part: EntityStep) -> str:
    codec = part.output.to_json() if isinstance(part, EntityAsset) else None
    return _hash([_source_hash(part.transform, part.where), dict(part.params), codec])


def _source_hash(transform: Transform, where: str) -> str:
    try:
        return syntax_hash(inspect.getsource(transform))
    except (OSError, TypeError, SyntaxError) as error:
        raise ConfigError(
            f"the source of {reference_of(transform)} cannot be read",
            where=where,
            fix="give the asset a code_version",
        ) from error


def _hash(value: object) -> str:
    text = json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_HEX_DIGITS]


def _tokens(node: object) -> Iterator[str]:
    if isinstance(node, ast.AST):
        yield type(node).__name__
        for field, value in ast.iter_fields(node):
            if value is None or value == [] or field in _NOT_MEANING:
                continue
            yield f".{field}"
            yield from _tokens(_without_docstring(value) if field == "body" else value)
        yield ")"
    elif isinstance(node, list):
        yield "["
        for item in node:  # pyright: ignore[reportUnknownVariableType] - ast is untyped here
            yield from _tokens(item)  # pyright: ignore[reportUnknownArgumentType]
        yield "]"
    else:
        yield f"{type(node).__name__}={node!r}"


def _without_docstring(body: object) -> object:
    """A body without its first statement if that is only a text."""
    match body:
        case [ast.Expr(value=ast.Constant(value=str())), *rest]:
            return rest
        case _:
            return body
