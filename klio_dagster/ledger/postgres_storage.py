"""Dagster's storage in PostgreSQL, whose batches are one transaction and outlive a restart.

In `dagster.yaml` (how to set it up: docs/how-to/use-postgresql.md):

```yaml
storage:
  custom:
    module: klio_dagster.ledger.postgres_storage
    class: KlioPostgresStorage
    config:
      postgres_url: {env: DAGSTER_POSTGRES_URL}
```

The tables are those of dagster-postgres: with `storage: postgres:` it goes on with them alone.
"""

from collections.abc import Sequence
from typing import Any

import dagster as dg
from dagster_postgres import DagsterPostgresStorage

from klio_dagster.ledger.internals import batch, postgres


class KlioPostgresEventLogStorage(postgres.Storage):
    """Dagster's event log in PostgreSQL, with batches of any kind of event.

    When the connection is lost, a write is repeated until the server is back, for a minute; it is
    written once.
    """

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> "KlioPostgresEventLogStorage":  # noqa: ANN401 - Dagster's
        """Made by Dagster from `dagster.yaml`."""
        return cls(inst_data=inst_data, **postgres.settings(config_value))

    def store_event(self, event: dg.EventLogEntry) -> None:
        """Write an event of any kind, in one transaction."""
        self.store_event_batch([event])

    def store_event_batch(self, events: Sequence[dg.EventLogEntry]) -> None:
        """Write events of any kind, in one transaction."""
        if self._is_migrated():
            postgres.PostgresLog(self).store_entries(events)
        else:
            for event in events:
                super().store_event(event)

    def _is_migrated(self) -> bool:
        self._known_migrated = getattr(self, "_known_migrated", False) or batch.is_migrated(self)
        return self._known_migrated


class KlioPostgresStorage(DagsterPostgresStorage):
    """All of Dagster's storage in one PostgreSQL database: runs and schedules as it keeps them.

    Takes the settings of `storage: postgres:`.
    """

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> "KlioPostgresStorage":  # noqa: ANN401 - Dagster's
        """Made by Dagster from `dagster.yaml`."""
        settings = postgres.settings(config_value)
        storage = cls(inst_data=inst_data, **settings)
        storage._event_log_storage = KlioPostgresEventLogStorage(**settings)
        return storage
