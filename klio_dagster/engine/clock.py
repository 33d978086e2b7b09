"""The clock that the receipts of one run are written by."""

import time

from klio_dagster.core.manifest import Manifest
from klio_dagster.store.clock import Clock, passed_s, wall_clock_from


def clock_of(manifest: Manifest, wall: Clock = time.time, monotonic: Clock = passed_s) -> Clock:
    """Seconds since 1970, the same in all processes of a run on one machine.

    The wall clock is looked at when the manifest is written: set in mid-run, it makes no output
    seem older than what it was made from, and no duration negative.

    Args:
        manifest: what it carries out.
        wall: where the manifest was written without a time.
        monotonic: seconds.
    """
    return wall if manifest.clock is None else wall_clock_from(*manifest.clock, monotonic)
