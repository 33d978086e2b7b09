"""The data version of an output: a hash of its stored bytes."""

import hashlib

_HEX_DIGITS = 32


def data_version(data: bytes) -> str:
    """Data version of stored bytes: the first 128 bits of their SHA-256, in hexadecimal.

    SHA-256, because processors have instructions for it: 350 kB take 0.19 ms where BLAKE2b takes
    0.37 ms. Half of its digits: every record of the ledger holds one for each input, and
    `sha256sum` still shows whether a file is the one that was recorded.
    """
    return hashlib.sha256(data).hexdigest()[:_HEX_DIGITS]
