"""`Table()`: a table as Parquet, with a pandera schema as its contract."""

import json
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from klio_dagster.codecs.refusal import refused_bytes, refused_value
from klio_dagster.codecs.schema import (
    SCHEMA_CHECK,
    Schema,
    described_columns,
    require_schema,
    schema_reference,
    schema_version,
    validated,
    where_of,
)
from klio_dagster.core.check import Evaluation, Severity, check_severity, reject
from klio_dagster.core.output import Dumped, Json, Promise
from klio_dagster.core.reference import resolve
from klio_dagster.errors import ConfigError, EntityError

if TYPE_CHECKING:
    import pandas as pd

_WHERE = "Table"
_MOST_COLUMNS = 100  # of a wider table the UI shows none
# What pandas needs to give a column its own kind of dtype again, and only then: half of a small
# file. The rest of its notes (versions, attrs) would give equal tables different bytes.
_PANDAS_NOTES = ("column_indexes", "columns", "index_columns")


@dataclass(frozen=True, slots=True)
class Table:
    """Stores a pandas DataFrame or a pyarrow Table as Parquet.

    Rows are numbered anew: an index that holds data must be made a column. Consumers load a
    DataFrame of their own. Equal tables give equal bytes with one version of pyarrow, which
    writes its name into each file.

    A schema is the asset's check `schema`: what it finds is recorded for each entity.

    Args:
        schema: a pandera `DataFrameModel`, or `"module:name"` of a model or a `DataFrameSchema`.
            A name is imported only where tables are stored, which keeps pandas and pandera
            (0.4 s) out of the code location. What the schema returns is stored, so its coercions
            count.
        severity: `blocking`: a table that breaks the schema is not stored; `warn`: it is stored as
            it came, and flagged.

    Raises:
        ConfigError: the schema has no name that a worker could import, or the severity is none.
    """

    schema: object = None
    severity: Severity = field(default="blocking", kw_only=True)
    _loaded: list[Schema] = field(
        default_factory=list[Schema], init=False, repr=False, compare=False, hash=False
    )

    def __post_init__(self) -> None:
        check_severity(self.severity, _WHERE)
        if self.schema is None:
            if self.severity != "blocking":
                raise ConfigError(
                    "it has a severity but no schema", where=_WHERE, fix="give it a schema"
                )
            return
        reference = schema_reference(self.schema)
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
            EntityError: it is no table, or has columns Parquet cannot hold.
            CheckFailedError: it breaks the schema, and that is blocking.
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
        evaluations: list[Evaluation] = []
        if schema is not None:
            frame, evaluation = validated(frame, schema, self.severity)
            evaluations.append(evaluation)
            reject(evaluations, f"Table({str(self.schema).rpartition(':')[2]})")
        data, types = _parquet(frame)
        return Dumped(
            data,
            metadata={"rows": len(frame), "columns": len(frame.columns)},
            evaluations=evaluations,
            columns=described_columns(types, schema) if len(types) <= _MOST_COLUMNS else (),
        )

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
        said: dict[str, Json] = {"schema": cast("str | None", self.schema)}
        # Left out where it says nothing new: older records stay as they are.
        return said if self.severity == "blocking" else {**said, "severity": self.severity}

    @property
    def promises(self) -> tuple[Promise, ...]:
        """The check that the schema is."""
        if self.schema is None:
            return ()
        reference = str(self.schema)
        return (
            Promise(
                name=SCHEMA_CHECK,
                severity=self.severity,
                description=f"The table is what `{reference}` says.",
                version=schema_version(reference),
            ),
        )

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
                raise ConfigError(error.what, where=where_of(reference), fix=error.fix) from error
            require_schema(found, where_of(reference))
            self._loaded.append(cast("Schema", found))
        return self._loaded[0] if self._loaded else None


def _pyarrow() -> ModuleType:
    """Pyarrow with its Parquet module, `.parquet`."""
    import_module("pyarrow.parquet")
    return import_module("pyarrow")


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


def _parquet(frame: "pd.DataFrame") -> tuple[bytes, dict[str, str]]:
    """The frame's bytes, the same for equal frames, and the stored type of each column.

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
    return sink.getvalue().to_pybytes(), {each.name: str(each.type) for each in table.schema}


def _one_line(error: Exception) -> str:
    return " ".join(": ".join(str(part) for part in error.args).split())
