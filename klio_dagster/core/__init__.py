"""Values and rules: ids, specs, plan, manifest, receipt.

Plain Python: no I/O, no clock, no randomness. Imports errors only.
"""
