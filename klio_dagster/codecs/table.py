"""`Table()`: a table as Parquet, with a pandera schema as its contract."""

import json
import re
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np

from klio_dagster.codecs.refusal import refused_bytes, refused_value
from klio_dagster.core.output import Dumped, Json
from klio_dagster.core.reference import reference_of, resolve
from klio_dagster.errors import ConfigError, EntityError

if TYPE_CHECKING:
    import pandas as pd

_WHERE = "Table"
_REFERENCE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*\Z")
# What pandas needs to give a column its own kind of dtype again, and only then: half of a small
# file. The rest of its notes (versions, attrs) would give equal tables different bytes.
_PANDAS_NOTES = ("column_indexes", "columns", "index_columns")


class Schema(Protocol):
    """A pandera `DataFrameModel` class or `DataFrameSchema` object."""

    def validate(self, check_obj: "pd.DataFrame", *, lazy: bool) -> "pd.DataFrame":
        """The frame, with the schema's coercions.

        Raises:
            pandera.errors.SchemaErrors: the frame breaks the schema.
        """
        ...


@dataclass(frozen=True, slots=True)
class Table:
    """Stores a pandas DataFrame or a pyarrow Table as Parquet.

    Rows are numbered anew: an index that holds data must be made a column. Consumers load a
    DataFrame of their own. Equal tables give equal bytes with one version of pyarrow, which
    writes its name into each file.

    Args:
        schema: a pandera `DataFrameModel`, or `"module:name"` of a model or a `DataFrameSchema`.
            A name is imported only where tables are stored, which keeps pandas and pandera
            (0.4 s) out of the code location. What the schema returns is stored, so its coercions
            count.

    Raises:
        ConfigError: the schema has no name that a worker could import.
    """

    schema: object = None
    _loaded: list[Schema] = field(
        default_factory=list[Schema], init=False, repr=False, compare=False, hash=False
    )

    def __post_init__(self) -> None:
        if self.schema is None:
            return
        reference = _reference(self.schema)
        if not isinstance(self.schema, str):
            self._loaded.append(cast("Schema", self.schema))
        object.__setattr__(self, "schema", reference)

    @property
    def name(self) -> str:
        """The name in a manifest."""
        return "table"

    @property
    def suffix(self) -> str:
        """The end of the file name."""
        return ".parquet"

    def dump(self, value: object) -> Dumped:
        """The table as Parquet, compressed with zstd.

        Raises:
            EntityError: it is no table, has columns Parquet cannot hold, or breaks the schema.
            ConfigError: the schema cannot be imported.
        """
        import pandas as pd

        if isinstance(value, _pyarrow().Table):
            value = cast("Any", value).replace_schema_metadata(None).to_pandas(use_threads=False)
        if not isinstance(value, pd.DataFrame):
            raise EntityError(
                *refused_value(
                    value, _WHERE, "a table", "return a pandas DataFrame or a pyarrow Table"
                )
            )
        frame = _numbered(value)
        schema = self.loaded_schema()
        if schema is not None:
            frame = _validated(frame, schema)
        return Dumped(_parquet(frame), metadata={"rows": len(frame), "columns": len(frame.columns)})

    def load(self, data: bytes, where: str) -> "pd.DataFrame":
        """The stored table as a new DataFrame.

        Raises:
            EntityError: the bytes are not Parquet.
        """
        pa = _pyarrow()
        try:
            table = pa.parquet.ParquetFile(pa.BufferReader(data)).read(use_threads=False)
            return table.to_pandas(use_threads=False)
        except (pa.ArrowException, OSError, ValueError, TypeError, KeyError) as error:
            raise EntityError(*refused_bytes(where, "a Parquet table", error)) from error

    def to_json(self) -> dict[str, Json]:
        """The parameters."""
        return {"schema": cast("str | None", self.schema)}

    def loaded_schema(self) -> Schema | None:
        """The pandera schema, imported now if it was given by name; None without one.

        Raises:
            ConfigError: it cannot be imported, or is not a pandera schema.
        """
        if self.schema is not None and not self._loaded:
            reference = str(self.schema)
            try:
                found = resolve(reference)
            except ConfigError as error:
                raise ConfigError(error.what, where=_where(reference), fix=error.fix) from error
            _check_schema(found, _where(reference))
            self._loaded.append(cast("Schema", found))
        return self._loaded[0] if self._loaded else None


def _pyarrow() -> ModuleType:
    """Pyarrow with its Parquet module, `.parquet`."""
    import_module("pyarrow.parquet")
    return import_module("pyarrow")


def _where(schema: str) -> str:
    return f"schema '{schema}'"


def _reference(schema: object) -> str:
    """The name a worker imports the schema by.

    Raises:
        ConfigError: there is none.
    """
    if isinstance(schema, str):
        if not _REFERENCE.match(schema):
            raise ConfigError(
                "it is not a name like 'package.module:Name'",
                where=_where(schema),
                fix="name the module, a colon, and the schema in it",
            )
        return schema
    if not isinstance(schema, type):
        raise ConfigError(
            f"a {type(schema).__name__} does not know its own name",
            where=_WHERE,
            fix="give the name as text, Table(schema='package.module:name')",
        )
    _check_schema(schema, f"schema {schema.__qualname__}")
    try:
        return reference_of(schema)
    except ConfigError as error:
        raise ConfigError(
            error.what, where=f"schema {schema.__qualname__}", fix=error.fix
        ) from error


def _check_schema(schema: object, where: str) -> None:
    if not callable(getattr(schema, "validate", None)):
        raise ConfigError(
            f"{schema!r} has no validate()",
            where=where,
            fix="use a pandera DataFrameModel or DataFrameSchema",
        )


def _numbered(frame: "pd.DataFrame") -> "pd.DataFrame":
    """The frame with its rows numbered from 0.

    Raises:
        EntityError: that would lose an index that holds data, or columns have no proper names.
    """
    import pandas as pd

    names = cast("list[object]", list(frame.columns))
    odd = next((name for name in names if not isinstance(name, str)), None)
    if odd is not None or len(set(names)) < len(names):
        why = "two columns have one name" if odd is None else f"column name {odd!r} is not text"
        raise EntityError(why, where=_WHERE, fix="give each column a name of its own, as text")
    index = frame.index
    if isinstance(index, pd.MultiIndex) or index.name is not None or index.dtype.kind not in "iu":
        shown = ", ".join(str(name) for name in index.names)
        raise EntityError(
            f"the table has an index ({shown}), which would be lost",
            where=_WHERE,
            fix="make it a column with .reset_index(), or leave it out with drop=True",
        )
    return frame.reset_index(drop=True)


def _validated(frame: "pd.DataFrame", schema: Schema) -> "pd.DataFrame":
    """What the schema makes of the frame.

    Raises:
        EntityError: the frame breaks the schema.
    """
    from pandera.errors import SchemaErrors

    try:
        return schema.validate(frame, lazy=True)
    except SchemaErrors as error:
        name = getattr(schema, "__qualname__", None) or getattr(schema, "name", None) or "schema"
        raise EntityError(
            _violations(cast("pd.DataFrame", cast("Any", error).failure_cases), len(frame)),
            where=f"Table({name})",
            fix="mend the transform, or the schema if the data is right",
        ) from error


def _violations(cases: "pd.DataFrame", rows: int) -> str:
    """The first broken check with its column, rows and an example; how many others there are."""
    names = ["schema_context", "column", "check", "index", "failure_case"]
    found = [tuple(case) for case in cast("Any", cases)[names].to_numpy().tolist()]
    context, column, check, row, example = found[0]
    if check == "column_in_dataframe":
        what = f"column '{example}' is missing"
    elif check == "column_in_schema":
        what = f"column '{example}' is not in the schema"
    else:
        what = f"column '{column}'" if context == "Column" else "the table"
        what += f" breaks {check}"
        if row is not None and row == row:  # nan where the check is not about rows
            count = sum(1 for case in found if case[:3] == (context, column, check))
            what += f" in {count} of {rows} rows, first in row {row}"
        what += f": {example}"
    others = len({case[:3] for case in found}) - 1
    return what if not others else f"{what} (other broken checks: {others})"


def _parquet(frame: "pd.DataFrame") -> bytes:
    """The frame's bytes; the same for equal frames.

    Raises:
        EntityError: a column holds what Parquet cannot.
    """
    pa = _pyarrow()
    try:
        table = pa.Table.from_pandas(frame, preserve_index=False, nthreads=1)
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        raise EntityError(
            f"a column cannot be stored as Parquet ({_one_line(error)})",
            where=_WHERE,
            fix="give each column one type",
        ) from error
    notes: dict[str, str] = {}
    if not all(isinstance(dtype, np.dtype) for dtype in cast("Any", frame).dtypes):
        said = json.loads(table.schema.metadata[b"pandas"])
        notes["pandas"] = json.dumps({name: said[name] for name in _PANDAS_NOTES}, sort_keys=True)
    sink = pa.BufferOutputStream()
    pa.parquet.write_table(table.replace_schema_metadata(notes), sink, compression="zstd")
    return sink.getvalue().to_pybytes()


def _one_line(error: Exception) -> str:
    return " ".join(": ".join(str(part) for part in error.args).split())
