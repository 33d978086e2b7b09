"""`klio_automation_condition`: entity assets that follow their inputs through Dagster itself."""

import dagster as dg


def klio_automation_condition() -> dg.AutomationCondition[dg.AssetKey]:
    """An entity is asked for when it is new, or when the data of an input has changed.

    Like `AutomationCondition.eager()`, but for what counts as news: eager asks for everything
    downstream of any new event, also of one that only says that the same output is still there,
    which is what a backfill records for entities that are up to date. What failed is asked for
    again when an input changes.

    Dagster makes a run for each partition it asks for, or a backfill: for many entities at once
    `build_klio_reconcile_sensor` needs one run.
    """
    condition = dg.AutomationCondition
    changed = condition.any_deps_match(
        # Of the same run: it computes what depends on it anyway.
        (condition.data_version_changed() & ~condition.executed_with_root_target())
        | condition.will_be_requested()
    ).with_label("any_deps_changed")
    return (
        (condition.newly_missing() | changed).since_last_handled()
        # Sources are observed and never made, so Dagster would take them for missing for ever.
        & ~condition.any_deps_missing().allow(dg.AssetSelection.all().materializable())
        & ~condition.any_deps_in_progress()
        & ~condition.in_progress()
    ).with_label("klio_automation_condition")
