"""Values and rules: ids, specs, plan, manifest, receipt. Plain Python, no I/O, no clock, no randomness; imports errors only."""
