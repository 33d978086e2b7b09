"""Carries out a manifest: driver, pool, workers, receipts.

Never Dagster; only engine/beam knows Beam.
"""
