"""EVERY private Dagster call, each with its reason and what callers do without it.

Range for all: dagster 1.13.0 and the newest (`make test-versions`). Where an event log is none that
`event_log` knows, `event_log.batches` says so and callers take `ledger.public_path`, which is slow
and supported. Imports what lies below `ledger`, and the values of `ledger.events`.
"""
