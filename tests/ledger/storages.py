"""Dagster's storages and ours, by the words of `dagster.yaml`."""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest

STOCK = {"klio-sqlite": "sqlite", "klio-postgres": "postgres"}
SQLITE = ("sqlite", "klio-sqlite")
KINDS = [
    *SQLITE,
    *(pytest.param(kind, marks=pytest.mark.postgres) for kind in ("postgres", "klio-postgres")),
]
OURS = ["klio-sqlite", pytest.param("klio-postgres", marks=pytest.mark.postgres)]


def settings(kind: str, url: str | None) -> Mapping:
    """What `dagster.yaml` says for a storage."""
    match kind:
        case "sqlite":
            return {}
        case "klio-sqlite":
            return {
                "event_log_storage": {
                    "module": "klio_dagster.ledger.sqlite_storage",
                    "class": "KlioSqliteEventLogStorage",
                }
            }
        case "postgres":
            return {"storage": {"postgres": {"postgres_url": url}}}
        case _:
            return {
                "storage": {
                    "custom": {
                        "module": "klio_dagster.ledger.postgres_storage",
                        "class": "KlioPostgresStorage",
                        "config": {"postgres_url": url},
                    }
                }
            }


def opened(kind: str, folder: Path, url: str | None) -> dg.DagsterInstance:
    """An instance with this storage."""
    return dg.DagsterInstance.local_temp(str(folder), overrides=settings(kind, url))


def tables(folder: Path, url: str | None, names: Sequence[str], ask) -> dict[str, list]:
    """The rows of tables, without their own ids and without when they were made.

    Args:
        folder: of SQLite's files, each of which has its own tables.
        url: of a PostgreSQL database, or None.
        names: of the tables.
        ask: `PostgresServer.ask`.
    """
    if url is not None:
        return {name: _of_postgres(name, url, ask) for name in names}
    found = {}
    for file in sorted((folder / "history" / "runs").glob("*.db")):
        with closing(sqlite3.connect(file)) as connection:
            for name in names:
                cursor = connection.execute(f"select * from {name} order by id")
                found[f"{file.stem} {name}"] = _in_order(name, _rows(cursor))
    return found


def _of_postgres(name, url, ask):
    columns = ask(
        "select column_name from information_schema.columns"
        f" where table_name = '{name}' order by ordinal_position",
        url,
    )
    kept = [column for (column,) in columns if column not in ("id", "create_timestamp")]
    return _in_order(name, ask(f"select {', '.join(kept)} from {name} order by id", url))


def _in_order(name, rows):
    return rows if name == "event_logs" else sorted(rows, key=repr)  # only there it means something


def _rows(cursor):
    names = [column[0] for column in cursor.description]
    kept = [i for i, name in enumerate(names) if name not in ("id", "create_timestamp")]
    return [tuple(row[i] for i in kept) for row in cursor]
