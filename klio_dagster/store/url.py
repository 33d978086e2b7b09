"""Store URLs: `./data`, `/data`, `file:///data`, `gs://`, `s3://`, `az://`, `memory://`."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote

from klio_dagster.errors import ConfigError

REMOTE_SCHEMES = ("gs", "s3", "az")

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_SECRETS = re.compile(r"(://)[^/@\s]*@|(://[^?\s]*)\?[^\s\"')]*")


@dataclass(frozen=True, slots=True)
class StoreUrl:
    """A parsed store URL.

    Args:
        text: the canonical form: no credentials, no query, an absolute path for local folders.
        path: the folder if the store is a local one.
        options: credentials and settings that stood in the URL, by obstore's names; never shown.
    """

    text: str
    path: Path | None = None
    options: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)

    @classmethod
    def parse(cls, url: str, *, base: Path | None = None) -> "StoreUrl":
        """Parse a URL or a path.

        Args:
            url: what the user wrote.
            base: folder that relative paths start from; the working directory if None.

        Raises:
            ConfigError: it is no URL of a store we know, or lacks a bucket.
        """
        if not url.strip() or "\0" in url:
            raise _malformed(url, "it is empty or contains a NUL")
        match = _SCHEME.fullmatch(url)
        if match is None:
            return cls._local((base or Path()) / Path(url).expanduser())
        scheme, rest = match[1].lower(), match[2]
        if scheme == "file":
            if not rest.startswith("/"):
                raise _malformed(url, "a file URL needs three slashes and an absolute path")
            return cls._local(Path(unquote(rest)))
        if scheme == "memory":
            return cls("memory://")
        if scheme not in REMOTE_SCHEMES:
            raise _malformed(url, f"no store is known by {scheme}://")
        return cls._remote(scheme, rest, url)

    @classmethod
    def _local(cls, folder: Path) -> "StoreUrl":
        # Not `resolve`: a link that was given on purpose is shown as it was given.
        path = Path(os.path.abspath(folder))
        return cls(str(path), path)

    @classmethod
    def _remote(cls, scheme: str, rest: str, url: str) -> "StoreUrl":
        location, _, query = rest.partition("?")
        authority, _, prefix = location.partition("/")
        user, at, bucket = authority.rpartition("@")
        options = dict(parse_qsl(query))
        if at:
            if scheme != "s3":
                raise _malformed(url, "credentials do not belong into the URL")
            key, _, secret = user.partition(":")
            options |= {"access_key_id": unquote(key), "secret_access_key": unquote(secret)}
        if not bucket or ":" in bucket:
            raise _malformed(url, "it names no bucket")
        prefix = prefix.rstrip("/")
        if prefix and not {"", ".", ".."}.isdisjoint(prefix.split("/")):
            raise _malformed(url, "its path has an empty, '.' or '..' part")
        text = f"{scheme}://{bucket}/{prefix}" if prefix else f"{scheme}://{bucket}"
        return cls(text, None, options)

    def __str__(self) -> str:
        return self.text


def is_absolute(location: str) -> bool:
    """Whether it says by itself where something lies: an absolute path, or a URL we can read."""
    scheme, separator, rest = location.partition("://")
    if not separator:
        return location.startswith("/")
    return scheme in REMOTE_SCHEMES or (scheme == "file" and rest.startswith("/"))


def hide_secrets(text: str) -> str:
    """The text without what stands before an `@` or after a `?` in its URLs: keys, signatures."""
    while (hidden := _SECRETS.sub(r"\1\2…", text)) != text:
        text = hidden
    return text


def _malformed(url: str, what: str) -> ConfigError:
    # More is hidden than in `hide_secrets`, because here nobody knows what is a password.
    shown = hide_secrets(re.sub("://.*@", "://…", url))
    return ConfigError(
        what,
        where=f"store {shown!r}",
        fix="write a folder, gs://bucket/…, s3://bucket/…, az://container/… or memory://, "
        "and credentials into the environment",
    )
