"""An event log in SQLite files, as Dagster keeps it, whose batches are one transaction.

In `dagster.yaml`:

```yaml
event_log_storage:
  module: klio_dagster.ledger.sqlite_storage
  class: KlioSqliteEventLogStorage
```

The files and their schema are Dagster's: leave these lines out, and it goes on with them alone.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from klio_dagster.errors import ConfigError
from klio_dagster.ledger.internals import batch, sqlite


class KlioSqliteEventLogStorage(sqlite.Storage):
    """Dagster's event log in SQLite files, with batches of any kind of event.

    Dagster's own web server and daemon write through it too: the planned events of a run over a
    range are batches where `DAGSTER_EVENT_BATCH_SIZE` is set, as `klio dev` does.
    """

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """`base_dir`: where Dagster keeps it, `history/runs` in its home, when left out."""
        return {"base_dir": dg.Field(dg.StringSource, is_required=False)}

    @classmethod
    def from_config_value(
        cls,
        inst_data: Any,  # noqa: ANN401 - Dagster's, without a public name
        config_value: Any,  # noqa: ANN401 - the same
    ) -> "KlioSqliteEventLogStorage":
        """Made by Dagster from `dagster.yaml`.

        Raises:
            ConfigError: neither `base_dir` nor DAGSTER_HOME says where it is.
        """
        return cls(config_value.get("base_dir") or _in_home(), inst_data=inst_data)

    def store_event(self, event: dg.EventLogEntry) -> None:
        """Write an event of any kind, in one transaction."""
        self.store_event_batch([event])

    def store_event_batch(self, events: Sequence[dg.EventLogEntry]) -> None:
        """Write events of any kind, in one transaction a run."""
        if self._is_migrated():
            sqlite.SqliteLog(self).store_entries(events)
        else:  # as `dagster instance migrate` does before the tables are there
            for event in events:
                super().store_event(event)

    def _is_migrated(self) -> bool:
        self._known_migrated = getattr(self, "_known_migrated", False) or batch.is_migrated(self)
        return self._known_migrated


def _in_home() -> str:
    home = os.environ.get("DAGSTER_HOME")
    if not home:
        raise ConfigError(
            "base_dir is not given and DAGSTER_HOME is not set",
            where="dagster.yaml: event_log_storage",
            fix="set one of them",
        )
    return str(Path(home).expanduser() / "history" / "runs")
