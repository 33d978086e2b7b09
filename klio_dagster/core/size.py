"""Sizes of memory: `"2GiB"` to bytes and back."""

import re

from klio_dagster.errors import ConfigError

_UNITS = {
    unit.lower(): factor**power
    for factor, units in ((1000, "B kB MB GB TB"), (1024, "B KiB MiB GiB TiB"))
    for power, unit in enumerate(units.split())
}
_SIZE = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]+)\s*\Z", re.IGNORECASE | re.ASCII)
# A worker that has imported nothing but us holds about 50 MB: less would fail every entity, and
# is mostly a number without its unit.
LEAST_MEMORY = 100_000_000


def bytes_of(size: object, where: str) -> int:
    """The bytes of a size: a number of bytes, or a text such as `"2GiB"` or `"500 MB"`.

    Raises:
        ConfigError: it is no size, or too small for any worker.
    """
    match = _SIZE.match(size) if isinstance(size, str) else None
    if match and match[2].lower() in _UNITS:
        count = int(float(match[1]) * _UNITS[match[2].lower()])
    elif isinstance(size, int) and not isinstance(size, bool):
        count = size
    else:
        raise ConfigError(
            f"memory is {size!r}", where=where, fix="write '2GiB', '500MB' or a number of bytes"
        )
    if count < LEAST_MEMORY:
        raise ConfigError(
            f"memory is {size!r}, which no worker can start in",
            where=where,
            fix="use at least '100MB', or None for no limit",
        )
    return count


def shown_bytes(count: int) -> str:
    """A size as people read it: `1.50 GiB`, or `95.4 MiB` below that."""
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"
