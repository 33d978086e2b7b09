"""Processes, as the kill tests look at them."""

import time
from collections.abc import Sequence

import psutil


def still_alive(processes: Sequence[psutil.Process], within_s: float) -> list[psutil.Process]:
    """Those that have not ended within a time; a zombie has, it only waits for its parent."""
    end = time.monotonic() + within_s
    alive = list(processes)
    while alive and time.monotonic() < end:
        alive = [process for process in alive if not _has_ended(process)]
        time.sleep(0.02)
    return alive


def _has_ended(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
