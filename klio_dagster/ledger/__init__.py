"""Dagster's event log, read and written in bulk. The only room with Dagster internals."""
