"""Messages in and out, nothing lost: sensors, the tick, dead letters, retries.

Knows Dagster, `defs` and what lies below it; never Beam, `observe` or `cli`.
"""
