"""The Beam pipeline that spreads a manifest over the pool.

The only room that imports apache_beam.
"""
