"""`Table()`: a table as Parquet, with a pandera schema as its contract."""

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from klio_dagster.codecs.refusal import refused_bytes, refused_value
from klio_dagster.core.output import Dumped, Json
from klio_dagster.core.reference import reference_of, resolve
from klio_dagster.errors import ConfigError, EntityError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_WHERE = "Table"
_REFERENCE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*\Z")
# What pandas needs to give each column its dtype again. The rest of its notes (versions, attrs)
# would give equal tables different bytes.
_PANDAS_NOTES = ("column_indexes", "columns", "index_columns")


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
    _loaded: list[Any] = field(
        default_factory=list[Any], init=False, repr=False, compare=False, hash=False
    )

    def __post_init__(self) -> None:
        if self.schema is None:
            return
        reference = _reference(self.schema)
        if not isinstance(self.schema, str):
            self._loaded.append(self.schema)
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
        import pyarrow as pa

        if isinstance(value, pa.Table):
            value = cast("Any", value).replace_schema_metadata(None).to_pandas(use_threads=False)
        if not isinstance(value, pd.DataFrame):
            raise refused_value(
                value, _WHERE, "a table", "return a pandas DataFrame or a pyarrow Table"
            )
        frame = _numbered(value)
        if self.schema is not None:
            frame = _validated(frame, self.loaded_schema())
        return Dumped(_parquet(frame), metadata={"rows": len(frame), "columns": len(frame.columns)})

    def load(self, data: bytes, where: str) -> "pd.DataFrame":
        """The stored table as a new DataFrame.

        Raises:
            EntityError: the bytes are not Parquet.
        """
        import pyarrow as pa
        import pyarrow.parquet as parquet

        try:
            table: Any = parquet.read_table(pa.BufferReader(data), use_threads=False)
            return table.to_pandas(use_threads=False)
        except (pa.ArrowException, OSError, ValueError, TypeError, KeyError) as error:
            raise refused_bytes(where, "a Parquet table", error) from error

    def to_json(self) -> dict[str, Json]:
        """The parameters."""
        return {"schema": cast("str | None", self.schema)}

    def loaded_schema(self) -> Any:
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
            self._loaded.append(found)
        return self._loaded[0] if self._loaded else None


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

    names = list(frame.columns)
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


def _validated(frame: "pd.DataFrame", schema: Any) -> "pd.DataFrame":
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
            _violations(error.failure_cases, len(frame)),
            where=f"Table({name})",
            fix="mend the transform, or the schema if the data is right",
        ) from error


def _violations(cases: Any, rows: int) -> str:
    """The first broken check with its column, rows and an example; how many others there are."""
    groups = list(cases.groupby(["column", "check"], sort=False, dropna=False))
    (column, check), found = groups[0]
    first = found.iloc[0]
    subject = f"column '{column}'" if isinstance(column, str) else "the table"
    if found["index"].isna().all():  # a check of the whole column: its type, its presence
        what = f"{subject} breaks {check}: {first['failure_case']}"
    else:
        what = (
            f"{subject} breaks {check} in {len(found)} of {rows} rows,"
            f" first in row {first['index']}: {first['failure_case']}"
        )
    others = len(groups) - 1
    return what if not others else f"{what} (and {others} more broken checks)"


def _parquet(frame: "pd.DataFrame") -> bytes:
    """The frame's bytes; the same for equal frames.

    Raises:
        EntityError: a column holds what Parquet cannot.
    """
    import pyarrow as pa
    import pyarrow.parquet as parquet

    try:
        table: Any = pa.Table.from_pandas(frame, preserve_index=False, nthreads=1)
        notes = json.loads(table.schema.metadata[b"pandas"])
        kept = json.dumps({name: notes[name] for name in _PANDAS_NOTES}, sort_keys=True)
        sink = pa.BufferOutputStream()
        # In one piece: where the pieces of a column end shows in the bytes.
        table = table.replace_schema_metadata({"pandas": kept}).combine_chunks()
        parquet.write_table(table, sink, compression="zstd")
        return sink.getvalue().to_pybytes()
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        raise EntityError(
            f"a column cannot be stored as Parquet ({' '.join(str(error).split())})",
            where=_WHERE,
            fix="give each column one type",
        ) from error
