"""The klio command: an edge over defs, observe and ledger."""
