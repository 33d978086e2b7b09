"""Pictures small enough to stand inline in an event: palette PNG of at most 700 bytes.

Dagster's UI shows Markdown of up to 1,000 characters inline; 700 bytes are 936 of base64. Bars and
cells are larger than a pixel because that is what deflate packs well.
"""

import struct
import zlib
from functools import cache
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from klio_dagster.audio.clip import AudioClip
from klio_dagster.errors import ConfigError

_COMPRESSION: Final = 6  # 9 is no byte smaller on spectrograms and takes up to four times as long
LARGEST_PNG_BYTES: Final = 700

Indices = npt.NDArray[np.uint8]
Rgb = tuple[int, int, int]

_WAVE_HEIGHT = 48
_BARS = 60
_BAR_PIXELS = 4  # three and a gap: one byte at two bits a pixel
_RMS_STRIDE = 16
# Background, peak, root mean square; both read on the UI's light and dark theme.
_WAVE_COLOURS: tuple[Rgb, ...] = ((255, 255, 255), (122, 196, 196), (15, 118, 128))

_HEAT_WIDTH, _HEAT_HEIGHT = 128, 40
# Rows, columns, colours. The first fits all of the 81 recordings tried; the last always does:
# 320 cells of one bit each.
_HEAT_LADDER = ((20, 64, 12), (20, 64, 6), (10, 32, 6), (10, 32, 2))
_HEAT_RANGE_DB = 60.0
_HEAT_STOPS: tuple[Rgb, ...] = (
    (12, 10, 40),
    (74, 20, 110),
    (165, 44, 96),
    (237, 105, 37),
    (252, 255, 164),
)


def waveform_png(clip: AudioClip) -> bytes:
    """The course of a clip's level: its peaks light, its root mean square dark.

    60 bars on 240 x 48 pixels, as high as full scale 1.0, all channels together; the background
    is transparent, and silence is a line.

    Args:
        clip: any number of channels and samples.

    Returns:
        A PNG of at most 700 bytes; equal clips give equal bytes.
    """
    peak, rms = _envelope(clip)
    middle = _WAVE_HEIGHT // 2
    heights = np.clip(np.ceil(np.stack([np.maximum(peak, 1 / middle), rms]) * middle), 0, middle)
    rows = np.abs(np.arange(_WAVE_HEIGHT) - (middle - 0.5)) + 0.5  # 1 on both sides of the middle
    levels = (rows[:, np.newaxis, np.newaxis] <= heights).sum(axis=1, dtype=np.uint8)
    # Three pixels of the level and one of background, two bits each, are one byte.
    packed = levels * np.uint8(0b01010100)
    return _png(packed, _BARS * _BAR_PIXELS, 2, _WAVE_COLOURS, is_first_clear=True)


def heatmap_png(
    values: npt.NDArray[Any], *, scale: Literal["auto", "linear", "db"] = "auto"
) -> bytes:
    """A matrix as colours, row 0 at the bottom: a mel spectrogram with low frequencies there.

    128 x 40 pixels whatever the shape; larger matrices are averaged.

    Args:
        values: real numbers, shape (rows, columns), at least one of each. What is not finite is
            drawn as the lowest colour.
        scale: `db` shows power, from 60 dB below its maximum; `linear` from minimum to maximum;
            `auto` is `db` where nothing is negative.

    Returns:
        A PNG of at most 700 bytes; equal values give equal bytes.

    Raises:
        ConfigError: the array is not such a matrix, or the scale is unknown.
    """
    if values.ndim != 2 or values.size == 0 or values.dtype.kind not in "biuf":
        raise ConfigError(
            f"shape {values.shape}, dtype {values.dtype}",
            where="heatmap",
            fix="pass real numbers of shape (rows, columns)",
        )
    if scale not in ("auto", "linear", "db"):
        raise ConfigError(f"scale is {scale!r}", where="heatmap", fix="use auto, linear or db")
    numbers = values if values.dtype == np.float32 else values.astype(np.float64)
    in_db = scale == "db" or (scale == "auto" and not np.fmin.reduce(numbers, axis=None) < 0)
    png = b""
    for rows, columns, colours in _HEAT_LADDER:
        cells = _averages(numbers, rows, columns)
        shares = _shares(_in_db(cells) if in_db else cells)
        levels = np.minimum(shares * colours, colours - 1).astype(np.uint8)
        png = _cells_png(levels, colours)
        if len(png) <= LARGEST_PNG_BYTES:
            break
    return png


def _envelope(clip: AudioClip) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Peak and root mean square a bar, shape (bars,) each, full scale 1.0."""
    samples = clip.samples if clip.frames else np.zeros((1, 1), np.float32)
    starts = np.arange(_BARS) * samples.shape[1] // _BARS
    highest = np.maximum.reduceat(samples, starts, axis=1).max(axis=0)
    lowest = np.minimum.reduceat(samples, starts, axis=1).min(axis=0)
    # Every 16th sample is enough for a mean drawn on 24 pixels, and a third of the time.
    some = np.square(samples[:, ::_RMS_STRIDE] if clip.frames > _RMS_STRIDE * _BARS else samples)
    starts = np.arange(_BARS) * some.shape[1] // _BARS
    counts = _lengths(starts, some.shape[1])
    power = np.add.reduceat(some, starts, axis=1).mean(axis=0) / counts
    return np.maximum(highest, -lowest), np.sqrt(power, dtype=np.float32)


def _averages(
    numbers: npt.NDArray[np.floating[Any]], rows: int, columns: int
) -> npt.NDArray[np.floating[Any]]:
    """The mean of every cell of a grid of at most rows x columns."""
    height, width = numbers.shape
    left = np.arange(min(columns, width)) * width // min(columns, width)
    low = np.arange(min(rows, height)) * height // min(rows, height)
    with np.errstate(over="ignore", invalid="ignore"):
        sums = np.add.reduceat(np.add.reduceat(numbers, left, axis=1), low, axis=0)
    return sums / np.outer(_lengths(low, height), _lengths(left, width))


def _lengths(starts: npt.NDArray[np.intp], end: int) -> npt.NDArray[np.intp]:
    """How many elements `reduceat` took for each start: one where the next start is the same."""
    return np.maximum(np.diff(starts, append=end), 1)


def _in_db(power: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.floating[Any]]:
    """Power in dB, no lower than the range below its maximum."""
    with np.errstate(divide="ignore", invalid="ignore"):
        level = 10 * np.log10(power)
    highest = float(np.max(level, initial=-np.inf, where=np.isfinite(level)))
    if highest == -np.inf:
        return np.zeros_like(level)
    return np.maximum(np.where(np.isnan(level), -np.inf, level), highest - _HEAT_RANGE_DB)


def _shares(cells: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.floating[Any]]:
    """The cells from 0.0, the lowest, to 1.0, the highest; all 0.0 if they are equal."""
    finite = np.isfinite(cells)
    low = float(np.min(cells, initial=np.inf, where=finite))
    span = float(np.max(cells, initial=-np.inf, where=finite)) - low
    if not 0 < span < np.inf:
        return np.zeros_like(cells)
    return np.where(finite, (cells - low) / span, 0.0)


def _cells_png(levels: Indices, colours: int) -> bytes:
    """The cells, row 0 at the bottom, each drawn as large as the picture lets it."""
    down = (np.arange(_HEAT_HEIGHT) * levels.shape[0] // _HEAT_HEIGHT)[::-1]
    across = np.arange(_HEAT_WIDTH) * levels.shape[1] // _HEAT_WIDTH
    pixels = levels[down[:, np.newaxis], across]
    packed = (pixels[:, ::2] << 4 | pixels[:, 1::2]).astype(np.uint8)
    return _png(packed, _HEAT_WIDTH, 4, _heat_palette(colours))


@cache
def _heat_palette(colours: int) -> tuple[Rgb, ...]:
    """So many colours, evenly spaced between the stops."""
    stops = np.array(_HEAT_STOPS, dtype=np.float64)
    at = np.linspace(0, len(stops) - 1, colours)
    channels = [np.interp(at, np.arange(len(stops)), stops[:, i]).round() for i in range(3)]
    return tuple((int(r), int(g), int(b)) for r, g, b in zip(*channels, strict=True))


def _png(
    packed: Indices,
    width: int,
    bits: int,
    palette: tuple[Rgb, ...],
    *,
    is_first_clear: bool = False,
) -> bytes:
    """Palette indices as a PNG. Source: W3C Portable Network Graphics, third edition.

    Args:
        packed: shape (height, bytes a row), the indices as they lie in the file.
        width: in pixels.
        bits: a pixel.
        palette: red, green, blue, 0 to 255, of each index.
        is_first_clear: the first colour is transparent.
    """
    rows = np.zeros((packed.shape[0], packed.shape[1] + 1), np.uint8)  # byte 0: no filter
    rows[:, 1:] = packed
    header = struct.pack(">IIBBBBB", width, packed.shape[0], bits, 3, 0, 0, 0)
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", header),
            _chunk(b"PLTE", bytes(value for colour in palette for value in colour)),
            _chunk(b"tRNS", b"\0") if is_first_clear else b"",
            _chunk(b"IDAT", zlib.compress(rows.tobytes(), _COMPRESSION)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(name: bytes, body: bytes) -> bytes:
    """One chunk with its length and checksum."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
