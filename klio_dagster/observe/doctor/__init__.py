"""`klio doctor`: whether every configured part is reachable, permitted and fast enough.

A check is a generator of findings about one thing; `examine` runs them side by side, so that one
that hangs hides no other. Nothing here writes what lasts.
"""
