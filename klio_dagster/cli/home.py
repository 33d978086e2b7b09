"""Dagster's home: the one the environment names, else `.klio/` in the project."""

import os
from pathlib import Path

from klio_dagster.errors import ConfigError

_OWN_FOLDER = ".klio"
_SETTINGS = """\
# Made by klio; yours to change. Runs, their events and what is shown of them lie beside this file.
telemetry:
  enabled: false
nux:
  enabled: false

# A run keeps all cores busy by itself, so there is one at a time. Those that messages ask for have
# a lane of their own, again one at a time: they do not wait until a backfill has ended.
run_coordinator:
  module: klio_dagster.defs.lanes
  class: KlioRunCoordinator
  config:
    max_concurrent_runs: -1
    tag_concurrency_limits:
      - key: klio/lane
        value:
          applyLimitPerUniqueValue: true
        limit: 1
    dequeue_interval_seconds: 1

# Dagster's own files, written in batches. Without these lines runs over long ranges start slowly.
event_log_storage:
  module: klio_dagster.ledger.sqlite_storage
  class: KlioSqliteEventLogStorage

# Gives up on runs that neither start nor end.
run_monitoring:
  enabled: true
"""


# Events at once: what Dagster plans for a run over a range, and how long that locks the log.
_EVENT_BATCH_SIZE = "1000"


def ensure_home(project: Path) -> Path:
    """Dagster's home, made and filled if it is ours and not there; set in the environment.

    Set there too, unless it is: that Dagster writes events in batches, which it does not by itself.

    Raises:
        ConfigError: DAGSTER_HOME names no folder, or `.klio/` cannot be made.
    """
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", _EVENT_BATCH_SIZE)
    given = os.environ.get("DAGSTER_HOME")
    if given:
        home = Path(given).expanduser()
        if not (home.is_absolute() and home.is_dir()):
            raise ConfigError(
                f"'{given}' is not an absolute path of a folder",
                where="DAGSTER_HOME",
                fix="make the folder, or unset it to use .klio/ in the project",
            )
        return home
    home = project / _OWN_FOLDER
    settings = home / "dagster.yaml"
    try:
        home.mkdir(exist_ok=True)
        if not settings.exists():
            settings.write_text(_SETTINGS, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"it cannot be made: {error.strerror}", where=str(home), fix="set DAGSTER_HOME"
        ) from error
    os.environ["DAGSTER_HOME"] = str(home)
    return home
