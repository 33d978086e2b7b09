"""What a user writes in a code location: decorator, resource, run config.

Imports ledger, engine.launch and what lies below.
"""
