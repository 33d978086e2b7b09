"""Lanes of Dagster's run queue: a message does not wait until a backfill has ended.

In `dagster.yaml`:

```yaml
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
```
"""

import dagster as dg

LANE_TAG = "klio/lane"
MESSAGES = "messages"
"""The lane of runs that messages ask for."""
OTHERS = "others"
"""The lane of every run that comes to the queue without one."""


class KlioRunCoordinator(dg.QueuedRunCoordinator):
    """Dagster's run queue, in which each run is in a lane.

    Dagster limits how many runs with a tag there are at a time, and cannot limit those that lack
    it: a backfill's, another sensor's, those that somebody starts in the UI. Here they get it.
    """

    def submit_run(self, context: dg.SubmitRunContext) -> dg.DagsterRun:
        """Put a run into the queue."""
        run = context.dagster_run
        if LANE_TAG not in run.tags:
            self._instance.add_run_tags(run.run_id, {LANE_TAG: OTHERS})
        return super().submit_run(context)
