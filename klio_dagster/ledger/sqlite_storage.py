"""An event log in SQLite files, as Dagster keeps it, whose batches are one transaction.

In `dagster.yaml`:

```yaml
event_log_storage:
  module: klio_dagster.ledger.sqlite_storage
  class: KlioSqliteEventLogStorage
```

The files and their schema are Dagster's: leave these lines out, and it goes on with them alone.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from klio_dagster.ledger.internals import batch, sqlite


class KlioSqliteEventLogStorage(sqlite.Storage):
    """Dagster's event log in SQLite files, with batches of any kind of event.

    Dagster's own web server and daemon write through it too: the planned events of a run over a
    range are batches where `DAGSTER_EVENT_BATCH_SIZE` is set, as `klio dev` does.
    """

    def __init__(
        self,
        base_dir: str | None = None,
        inst_data: Any = None,  # noqa: ANN401 - Dagster's, without a public name
    ) -> None:
        if base_dir is not None:
            super().__init__(base_dir, inst_data)
        else:  # where that is, only the instance knows
            self._inst_data = inst_data

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """`base_dir`: where Dagster keeps it, `history/runs` in its home, when left out."""
        return {"base_dir": dg.Field(dg.StringSource, is_required=False)}

    @classmethod
    def from_config_value(
        cls,
        inst_data: Any,  # noqa: ANN401 - the same
        config_value: Any,  # noqa: ANN401 - the same
    ) -> "KlioSqliteEventLogStorage":
        """Made by Dagster from `dagster.yaml`."""
        return cls(config_value.get("base_dir"), inst_data)

    def register_instance(self, instance: dg.DagsterInstance) -> None:
        """Told by Dagster whose storage it is, before anything is asked of it."""
        if not hasattr(self, "_base_dir"):
            folder = Path(instance.root_directory) / "history" / "runs"
            super().__init__(str(folder), self._inst_data)
        super().register_instance(instance)

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
