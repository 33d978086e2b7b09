"""What a pandera schema says: of a table, of its columns, and of a frame that breaks it."""

import ast
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from klio_dagster.core.check import Evaluation, Severity
from klio_dagster.core.code_version import syntax_hash
from klio_dagster.core.output import Column, Scalar
from klio_dagster.core.reference import reference_of
from klio_dagster.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_CHECK = "schema"  # name of the check that a schema is

_REFERENCE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*\Z")
_CALL = re.compile(r"(\w+)\((.*)\)\Z", re.DOTALL)
_MOST_SHOWN = 20  # violated constraints in an evaluation's metadata
_MOST_EXAMPLE_CHARACTERS = 100
# pandera's names of constraints, as a person writes them; {} stands for the arguments.
_READABLE = {
    "greater_than": "> {}",
    "greater_than_or_equal_to": ">= {}",
    "less_than": "< {}",
    "less_than_or_equal_to": "<= {}",
    "equal_to": "== {}",
    "not_equal_to": "!= {}",
    "isin": "one of {}",
    "notin": "none of {}",
    "str_matches": "matches {}",
    "str_contains": "contains {}",
    "str_startswith": "starts with {}",
    "str_endswith": "ends with {}",
    "unique_values_eq": "has all of {}",
    "dtype": "type {}",
    "not_nullable": "no missing value",
    "field_uniqueness": "no value twice",
}


class Schema(Protocol):
    """A pandera `DataFrameModel` class or `DataFrameSchema` object."""

    def validate(self, check_obj: "pd.DataFrame", *, lazy: bool) -> "pd.DataFrame":
        """The frame, with the schema's coercions.

        Raises:
            pandera.errors.SchemaErrors: the frame breaks the schema.
        """
        ...


@dataclass(frozen=True, slots=True)
class Violation:
    """One constraint that a frame breaks.

    Args:
        column: name of the column; empty where the constraint is about the whole table.
        constraint: readable.
        rows: how many rows break it; 0 where it is not about rows.
        of_rows: rows of the frame.
        row: number of the first of them.
        example: the value there.
    """

    column: str
    constraint: str
    rows: int
    of_rows: int
    row: int
    example: str

    @property
    def found(self) -> str:
        """Where, and an example."""
        where = f"in {self.rows} of {self.of_rows} rows, first in row {self.row}: "
        return (where if self.rows else "") + self.example

    def __str__(self) -> str:
        if self.constraint in ("is missing", "is not in the schema"):
            return f"column '{self.column}' {self.constraint}"
        what = f"column '{self.column}'" if self.column else "the table"
        space = " " if self.rows else ": "
        return f"{what} breaks '{self.constraint}'{space}{self.found}"


def schema_reference(schema: object) -> str:
    """The name a worker imports a schema by.

    Raises:
        ConfigError: there is none.
    """
    if isinstance(schema, str):
        if not _REFERENCE.match(schema):
            raise ConfigError(
                "it is not a name like 'package.module:Name'",
                where=where_of(schema),
                fix="name the module, a colon, and the schema in it",
            )
        return schema
    if not isinstance(schema, type):
        raise ConfigError(
            f"a {type(schema).__name__} does not know its own name",
            where="Table",
            fix="give the name as text, Table(schema='package.module:name')",
        )
    require_schema(schema, f"schema {schema.__qualname__}")
    try:
        return reference_of(schema)
    except ConfigError as error:
        raise ConfigError(
            error.what, where=f"schema {schema.__qualname__}", fix=error.fix
        ) from error


def where_of(reference: str) -> str:
    """How messages name a schema."""
    return f"schema '{reference}'"


def require_schema(schema: object, where: str) -> None:
    """Refuse what is no schema.

    Raises:
        ConfigError: it is none.
    """
    if not callable(getattr(schema, "validate", None)):
        raise ConfigError(
            f"{schema!r} has no validate()",
            where=where,
            fix="use a pandera DataFrameModel or DataFrameSchema",
        )


@lru_cache(maxsize=256)
def schema_version(reference: str) -> str:
    """Hash of a schema's own definition, read without importing it (pandera takes 0.5 s).

    What it inherits is not covered. Where no source can be read the name stands for it.
    """
    module, _, name = reference.partition(":")
    try:
        spec = find_spec(module)
        source = Path(spec.origin).read_text(encoding="utf-8") if spec and spec.origin else ""
        node: ast.AST | None = ast.parse(source)
    except (ImportError, OSError, ValueError, SyntaxError):
        return reference
    for part in name.split("."):
        node = next((n for n in ast.iter_child_nodes(node) if part in _bound(n)), None)
        if node is None:
            return reference
    return syntax_hash(ast.get_source_segment(source, node, padded=True) or reference)


def validated(
    frame: "pd.DataFrame", schema: Schema, severity: Severity
) -> tuple["pd.DataFrame", Evaluation]:
    """What the schema makes of a frame, coercions included, and what it says of it.

    A frame that breaks it comes back as it is.
    """
    from pandera.errors import SchemaErrors

    try:
        with warnings.catch_warnings():
            # pandera puts failure cases of several kinds together in a way that pandas deprecates.
            warnings.filterwarnings("ignore", category=FutureWarning, module=r"pandera\.")
            kept = schema.validate(frame, lazy=True)
    except SchemaErrors as error:
        found = list(_violations(cast("Any", error).failure_cases, len(frame)))
        return frame, _broken(found, len(frame), severity)
    passed = Evaluation(
        check=SCHEMA_CHECK, passed=True, severity=severity, metadata={"rows": len(frame)}
    )
    return kept, passed


def described_columns(types: Mapping[str, str], schema: Schema | None) -> list[Column]:
    """The columns of a stored table with what the schema says of them.

    Args:
        types: name of each column to its stored type.
        schema: of the table.
    """
    promised = _promised(schema)
    columns: list[Column] = []
    for name, stored in types.items():
        said = next((c for c in promised if _matches(c.name, name, is_regex=c.regex)), None)
        if said is None:
            columns.append(Column(name=name, type=stored))
            continue
        constraints = [readable(check.error or check.name or "check") for check in said.checks]
        columns.append(
            Column(
                name=name,
                type=stored,
                description=said.description or "",
                nullable=bool(said.nullable),
                unique=bool(said.unique),
                constraints=tuple(constraints),
            )
        )
    return columns


def readable(constraint: str) -> str:
    """A constraint as a person writes it: `greater_than(0)` is `> 0`."""
    call = _CALL.match(constraint)
    name, arguments = (call[1], call[2]) if call else (constraint, "")
    if name == "in_range":
        return "..".join(part.strip() for part in arguments.split(",")[:2])
    if name == "dtype":
        arguments = arguments.strip("'\"")
    return _READABLE[name].format(arguments) if name in _READABLE else constraint


def _broken(found: Sequence[Violation], rows: int, severity: Severity) -> Evaluation:
    metadata: dict[str, Scalar] = {"rows": rows, "violations": len(found)}
    for violation in found[:_MOST_SHOWN]:
        metadata[f"{violation.column or 'table'}: {violation.constraint}"] = violation.found
    others = f" (other broken constraints: {len(found) - 1})" if len(found) > 1 else ""
    return Evaluation(
        check=SCHEMA_CHECK,
        passed=False,
        severity=severity,
        description=f"{found[0]}{others}",
        metadata=metadata,
    )


def _violations(cases: "pd.DataFrame", rows: int) -> Iterator[Violation]:
    """Each broken constraint once, in the order in which pandera found them."""
    names = ["schema_context", "column", "check", "index", "failure_case"]
    told: dict[tuple[object, ...], list[tuple[Any, Any]]] = {}
    for context, column, check, row, example in cast("Any", cases)[names].to_numpy().tolist():
        told.setdefault((context, column, check), []).append((row, example))
    for (context, column, check), found in told.items():
        row, example = found[0]
        shown = " ".join(str(example).split())[:_MOST_EXAMPLE_CHARACTERS]
        if check in ("column_in_dataframe", "column_in_schema"):
            missing = check == "column_in_dataframe"
            constraint = "is missing" if missing else "is not in the schema"
            yield Violation(shown, constraint, 0, rows, 0, shown)
            continue
        number = -1 if row is None or row != row else int(row)  # nan: it is not about rows
        yield Violation(
            column=str(column) if context == "Column" else "",
            constraint=readable(str(check)),
            rows=len(found) if number >= 0 else 0,
            of_rows=rows,
            row=max(number, 0),
            example=shown,
        )


def _promised(schema: object) -> list[Any]:
    """A schema's columns, as pandera's objects."""
    whole = cast("Any", schema)
    if isinstance(schema, type) and callable(getattr(schema, "to_schema", None)):
        whole = whole.to_schema()
    return list(getattr(whole, "columns", {}).values())


def _matches(promised: str, name: str, *, is_regex: bool) -> bool:
    return re.match(promised, name) is not None if is_regex else promised == name


def _bound(node: ast.AST) -> list[str]:
    """The names that a statement binds."""
    match node:
        case ast.ClassDef(name=name):
            return [name]
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case _:
            return []
