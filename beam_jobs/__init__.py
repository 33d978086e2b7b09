"""The reference project's transforms: what a worker computes. They know nothing of Dagster."""
