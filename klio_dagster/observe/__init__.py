"""Read-only views of the ledger for people: status, failures."""
