"""The beginning of what a table or a JSON output holds, for people to look at."""

import io
import json
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from klio_dagster.errors import EntityError
from klio_dagster.observe.view import Output

_MOST_BYTES = 64_000_000
_MOST_CHARACTERS = 20_000
_ROWS = 20
_COLUMNS = 200


def preview_of(output: Output) -> dict[str, Any]:
    """What an output holds: `columns` and `rows` of a table, `text` of JSON; else nothing.

    Raises:
        ObjectNotFoundError: the output is gone.
        EntityError: its bytes are not what they should be.
        StoreUnavailableError: the store did not answer.
    """
    read = _READERS.get(output.codec)
    if read is None or output.store.head(output.path).size > _MOST_BYTES:
        return {}
    try:
        return read(output.store.get(output.path))
    except (ValueError, OSError) as error:  # what pyarrow and json raise of damaged bytes
        raise EntityError(
            "its bytes cannot be read", where=output.path, fix="compute it again"
        ) from error


def _table(data: bytes) -> dict[str, Any]:
    parquet: Any = import_module("pyarrow.parquet")
    file = parquet.ParquetFile(io.BytesIO(data))
    schema = list(file.schema_arrow)[:_COLUMNS]
    names = [column.name for column in schema]
    batch = next(file.iter_batches(batch_size=_ROWS, columns=names), None)
    rows = batch.slice(0, _ROWS).to_pylist() if batch is not None else []
    return {
        "columns": [{"name": column.name, "type": str(column.type)} for column in schema],
        "rows": [[_cell(row[name]) for name in names] for row in rows],
        "of": file.metadata.num_rows,
    }


def _json(data: bytes) -> dict[str, Any]:
    text = json.dumps(json.loads(data), indent=1, ensure_ascii=False)
    return {"text": text[:_MOST_CHARACTERS], "is_cut": len(text) > _MOST_CHARACTERS}


def _cell(value: object) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 100 else f"{text[:100]}…"


_READERS: Mapping[str, Callable[[bytes], dict[str, Any]]] = {"table": _table, "json": _json}
