"""How stores are reached: settings and credentials by location, and their way to the workers."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from klio_dagster.errors import ConfigError
from klio_dagster.store.url import REMOTE_SCHEMES, hide_secrets

ACCESS_VARIABLE = "KLIO_STORE_OPTIONS"
"""Environment variable in which a launcher hands them to its driver, and that to its workers.

The manifest lies in the store, where everybody reads it who reads the outputs.
"""

Options = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Access:
    """Options of stores, by bucket: `s3://bucket`, or `s3://` for all others of a kind.

    Args:
        by_location: obstore's settings and credentials; those of the bucket count alone, else those
            of its kind. Never shown.

    Raises:
        ConfigError: a location is neither a bucket nor a kind.
    """

    by_location: Mapping[str, Options] = field(default_factory=dict[str, Options], repr=False)

    def __post_init__(self) -> None:
        for location in self.by_location:
            scheme, separator, bucket = location.partition("://")
            if not separator or scheme not in REMOTE_SCHEMES or not set("/@?").isdisjoint(bucket):
                raise ConfigError(
                    "options belong to a bucket, or to all of a kind",
                    where=f"options of {hide_secrets(location)!r}",
                    fix="write s3://bucket, or s3:// (gs://, az://)",
                )

    def of(self, url: str) -> Options:
        """The options of a store; none where nothing is said: then the environment counts."""
        kind, bucket = _parts(url)
        return self.by_location.get(bucket, self.by_location.get(kind, {}))

    def with_store(self, url: str, options: Options) -> "Access":
        """With those of one store, which count for other buckets of its kind as well.

        Args:
            url: of the store.
            options: that it was opened with.
        """
        kind, bucket = _parts(url)
        if not options or kind.removesuffix("://") not in REMOTE_SCHEMES:
            return self
        return Access({kind: options, **self.by_location, bucket: options})

    def to_text(self) -> str:
        """For the environment of another process."""
        return json.dumps({key: dict(options) for key, options in self.by_location.items()})

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Access":
        """What a launcher has put there; nothing if none did.

        Raises:
            ConfigError: it is not what a launcher writes.
        """
        text = environment.get(ACCESS_VARIABLE)
        if text is None:
            return cls()
        try:
            return cls({str(key): dict(options) for key, options in json.loads(text).items()})
        except (ValueError, TypeError, AttributeError):
            raise ConfigError(
                "it is not what a run writes there", where=ACCESS_VARIABLE, fix="unset it"
            ) from None


def _parts(url: str) -> tuple[str, str]:
    """`s3://` and `s3://bucket` of a URL; no option is known by what a folder gives."""
    scheme, separator, rest = url.partition("://")
    kind = scheme + separator
    return kind, kind + rest.partition("/")[0]
