"""`Audio("flac")`: a clip as FLAC, WAV or OGG/Vorbis."""

from dataclasses import dataclass, field
from typing import get_args

from klio_dagster.audio.clip import AudioClip
from klio_dagster.audio.loudness import loudness_lufs
from klio_dagster.audio.read import read_audio
from klio_dagster.audio.thumbnails import waveform_png
from klio_dagster.audio.write import AudioFormat, BitDepth, encode
from klio_dagster.codecs.refusal import refused_value
from klio_dagster.core.output import Dumped, Json, Scalar
from klio_dagster.errors import ConfigError, EntityError

_WHERE = "Audio"
_FORMATS = get_args(AudioFormat)


@dataclass(frozen=True, slots=True)
class Audio:
    """Stores an `AudioClip`. Consumers get the clip as the file holds it: quantised, or decoded.

    Args:
        format: `flac`, `wav` or `ogg` (Vorbis).
        bit_depth: bits a sample, 16 or 24; None keeps the clip's own: 24 if its source has more
            than 16, else 16. OGG has none.

    Raises:
        ConfigError: the format is unknown, or cannot have these bits.
    """

    format: AudioFormat = "flac"
    bit_depth: BitDepth | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.format not in _FORMATS:
            raise ConfigError(
                f"there is no format {self.format!r}",
                where=_WHERE,
                fix=f"use one of {', '.join(_FORMATS)}",
            )
        if self.bit_depth not in (None, *get_args(BitDepth)):
            raise ConfigError(f"bit_depth is {self.bit_depth!r}", where=_WHERE, fix="use 16 or 24")
        if self.format == "ogg" and self.bit_depth is not None:
            raise ConfigError("ogg has no bit depth", where=_WHERE, fix="leave bit_depth out")

    @property
    def name(self) -> str:
        """The name in a manifest."""
        return "audio"

    @property
    def suffix(self) -> str:
        """The end of the file name."""
        return f".{self.format}"

    def dump(self, value: object) -> Dumped:
        """The clip's file, and the clip that reading it gives.

        Raises:
            EntityError: it is no clip, has no frames, or has samples that are no numbers.
        """
        if not isinstance(value, AudioClip):
            raise EntityError(
                *refused_value(
                    value, _WHERE, "an AudioClip", "return AudioClip(samples, sample_rate)"
                )
            )
        encoded = encode(
            value, format=self.format, bit_depth=self.bit_depth or _own_bit_depth(value)
        )
        clip = encoded.clip
        metadata: dict[str, Scalar] = {
            "duration_s": round(clip.duration_s, 6),
            "sample_rate_hz": clip.sample_rate,
            "channels": clip.channels,
            "peak": clip.peak,
            "clipped_samples": encoded.clipped_samples,
        }
        loudness = loudness_lufs(clip)
        if loudness is not None:
            metadata["loudness_lufs"] = round(loudness, 2)
        return Dumped(encoded.data, clip, metadata, {"waveform": waveform_png(clip)})

    def load(self, data: bytes, where: str) -> AudioClip:
        """The clip that was stored.

        Raises:
            EntityError: the bytes are not audio.
        """
        return read_audio(data, where=where)

    def to_json(self) -> dict[str, Json]:
        """The parameters."""
        return {"format": self.format, "bit_depth": self.bit_depth}


def _own_bit_depth(clip: AudioClip) -> BitDepth:
    return 24 if clip.source and (clip.source.bit_depth or 0) > 16 else 16
