"""The automatic code version: hash of a transform's syntax tree and parameters."""

import ast
import hashlib
import inspect
import json
import textwrap
from collections.abc import Iterator, Mapping
from typing import cast

from klio_dagster.core.asset import EntityAsset, EntityStep
from klio_dagster.core.graph import Chain
from klio_dagster.core.output import PromisingCodec
from klio_dagster.core.reference import Transform, reference_of
from klio_dagster.errors import ConfigError

# `ctx` follows from the place of a name; the others only say how something was written.
_NOT_MEANING = frozenset({"ctx", "kind", "type_comment"})
_HEX_DIGITS = 16
_SHORT = 8


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
        own = _own(part)
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
        digest.update(token.encode() + b"\0")
    return digest.hexdigest()[:_HEX_DIGITS]


def _own(part: EntityStep) -> str:
    """Of the transform with its params, codec and blocking checks.

    A given version stands for the transform's source only.
    """
    settings: list[object] = [dict(part.params), None]
    if isinstance(part, EntityAsset):
        settings[1] = [part.output.name, part.output.to_json()]
        settings += _contract(part)
    if part.code_version is not None:
        return f"{part.code_version}.{_hash(settings)[:_SHORT]}"
    return _hash([_source_hash(part.transform, part.where), *settings])


def _contract(asset: EntityAsset) -> list[object]:
    """What decides which values are stored: nothing where there is no blocking check."""
    promises = asset.output.promises if isinstance(asset.output, PromisingCodec) else ()
    found: dict[str, object] = {p.name: p.version for p in promises if p.severity == "blocking"}
    for check in asset.checks:
        if check.severity == "blocking":
            source = _source_hash(check.function, f"{asset.where}, {check.where}")
            found[check.name] = [source, dict(check.params)]
    return [found] if found else []


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
            yield from _tokens(_meant(node, field, value))
        yield ")"
    elif isinstance(node, list):
        yield "["
        for item in cast("list[object]", node):
            yield from _tokens(item)
        yield "]"
    else:
        # Not `repr`: which characters it escapes depends on the Unicode version of that Python.
        yield f"{type(node).__name__}={node!a}"


def _meant(node: ast.AST, field: str, value: object) -> object:
    """A field's value without what means nothing: a docstring, empty pieces of an f-string."""
    if field == "body" and isinstance(value, list):
        statements = cast("list[ast.stmt]", value)
        return statements[1:] if _is_text(statements[0]) else statements
    if isinstance(node, ast.JoinedStr):
        # Python 3.12 alone ends the format of f"{x:>{width}}" with an empty text.
        return [piece for piece in node.values if not _is_empty(piece)]
    return value


def _is_text(statement: ast.stmt) -> bool:
    match statement:
        case ast.Expr(value=ast.Constant(value=str())):
            return True
        case _:
            return False


def _is_empty(piece: ast.expr) -> bool:
    return isinstance(piece, ast.Constant) and piece.value == ""
