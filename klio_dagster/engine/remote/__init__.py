"""Jobs at a service elsewhere: submitted, watched, cancelled, found again.

Both sides of it: the launcher's (`launch`, `told`) and the driver's (`watch`). What a service is
and how it is asked stands in `engine.beam`; this room loads no Beam.
"""
