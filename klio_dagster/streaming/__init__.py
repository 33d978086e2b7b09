"""Messages in and out: what came, what waits, what nobody will try again. Imports defs and below.

Never `observe` or `cli`: they look at it.
"""
