"""What a server that speaks Google Cloud Storage's APIs holds: objects, generations, pages."""

import base64
import bisect
import hashlib
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from uuid import uuid4

import google_crc32c

MOST_PER_PAGE = 1000
CONDITIONS = {
    # name in the JSON API: (about the generation, must be equal, status where it does not hold)
    "ifGenerationMatch": (True, True, 412),
    "ifGenerationNotMatch": (True, False, 304),
    "ifMetagenerationMatch": (False, True, 412),
    "ifMetagenerationNotMatch": (False, False, 304),
}


class Refused(Exception):
    """What the server answers instead of what was asked for."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason, self.message = status, reason, message


@dataclass(frozen=True)
class Stored:
    """One object, one generation."""

    name: str
    data: bytes
    generation: int
    updated: float
    content_type: str = "application/octet-stream"
    metadata: Mapping[str, str] = field(default_factory=dict)
    metageneration: int = 1

    @property
    def etag(self) -> str:
        return base64.b64encode(str(self.generation).encode()).decode()

    @property
    def crc32c(self) -> str:
        return base64.b64encode(google_crc32c.Checksum(self.data).digest()).decode()

    @property
    def md5(self) -> str:
        digest = hashlib.md5(self.data, usedforsecurity=False).digest()
        return base64.b64encode(digest).decode()

    @property
    def at(self) -> str:
        return datetime.fromtimestamp(self.updated, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    @property
    def headers(self) -> dict[str, str]:
        return {
            "ETag": f'"{self.etag}"',
            "Last-Modified": formatdate(self.updated, usegmt=True),
            "x-goog-generation": str(self.generation),
            "x-goog-metageneration": str(self.metageneration),
            "x-goog-hash": f"crc32c={self.crc32c},md5={self.md5}",
            "x-goog-stored-content-length": str(len(self.data)),
            **{f"x-goog-meta-{key}": value for key, value in self.metadata.items()},
        }


@dataclass
class Page:
    """One answer of a listing; `next` names where the next one begins."""

    objects: Sequence[Stored]
    prefixes: Sequence[str]
    next: str = ""


@dataclass
class Upload:
    """Begun in several requests and not there yet."""

    bucket: str
    name: str
    fields: Mapping[str, object]
    conditions: Mapping[str, str]
    data: bytearray = field(default_factory=bytearray)
    parts: dict[int, bytes] = field(default_factory=dict)


class Buckets:
    """All buckets of a server; its clock may differ from ours by `offset_s`."""

    def __init__(self) -> None:
        self.offset_s = 0.0
        self.page_size = MOST_PER_PAGE
        self.uploads: dict[str, Upload] = {}
        self._buckets: dict[str, dict[str, Stored]] = {}
        self._names: dict[str, list[str]] = {}
        self._generation = time.time_ns() // 1000
        self._lock = threading.RLock()

    def now(self) -> float:
        return time.time() + self.offset_s

    def create(self, bucket: str) -> None:
        with self._lock:
            if bucket in self._buckets:
                raise Refused(409, "conflict", "you already own this bucket")
            self._buckets[bucket], self._names[bucket] = {}, []

    def objects(self, bucket: str) -> dict[str, Stored]:
        if bucket not in self._buckets:
            raise Refused(404, "NoSuchBucket", f"there is no bucket {bucket}")
        return self._buckets[bucket]

    def get(self, bucket: str, name: str, conditions: Mapping[str, str] | None = None) -> Stored:
        found = self.objects(bucket).get(name)
        if found is None:
            raise Refused(404, "NoSuchKey", f"there is no object {bucket}/{name}")
        self._check(found, conditions or {})
        return found

    def put(
        self,
        bucket: str,
        name: str,
        data: bytes,
        fields: Mapping[str, object],
        conditions: Mapping[str, str],
    ) -> Stored:
        with self._lock:
            objects = self.objects(bucket)
            self._check(objects.get(name), conditions)
            self._generation += 1
            kind = str(fields.get("contentType") or "application/octet-stream")
            metadata = fields.get("metadata")
            known = dict(metadata) if isinstance(metadata, Mapping) else {}
            new = Stored(name, data, self._generation, self.now(), kind, known)
            for wanted, is_so in (("crc32c", new.crc32c), ("md5Hash", new.md5)):
                if fields.get(wanted) not in (None, is_so):
                    raise Refused(400, "invalid", f"{wanted} is not that of the data")
            if name not in objects:
                bisect.insort(self._names[bucket], name)
            objects[name] = new
            return new

    def delete(self, bucket: str, name: str, conditions: Mapping[str, str]) -> None:
        with self._lock:
            self.get(bucket, name, conditions)
            del self._buckets[bucket][name]
            names = self._names[bucket]
            names.pop(bisect.bisect_left(names, name))

    def page(
        self, bucket: str, *, prefix: str, delimiter: str, after: str, limit: int, begins: str = ""
    ) -> Page:
        """Names in order, those after a name; folders are given once, by their common prefix."""
        with self._lock:
            objects, names = self.objects(bucket), self._names[bucket]
            page = Page([], [])
            first, last = max(prefix, begins), ""
            place = bisect.bisect_right(names, after) if after >= first else 0
            place = max(place, bisect.bisect_left(names, first))
            found: list[Stored] = []
            prefixes: list[str] = []
            limit = max(1, min(limit, self.page_size))
            while place < len(names) and names[place].startswith(prefix):
                name = names[place]
                if len(found) + len(prefixes) == limit:
                    return Page(found, prefixes, last)
                rest = name[len(prefix) :]
                if delimiter and delimiter in rest:
                    folder = prefix + rest.partition(delimiter)[0] + delimiter
                    prefixes.append(folder)
                    last = folder + "\U0010ffff"
                    place = bisect.bisect_right(names, last)
                else:
                    found.append(objects[name])
                    last = name
                    place += 1
            page.objects, page.prefixes = found, prefixes
            return page

    def begin(self, upload: Upload) -> str:
        with self._lock:
            self._check(self.objects(upload.bucket).get(upload.name), upload.conditions)
            key = uuid4().hex
            self.uploads[key] = upload
            return key

    def upload(self, key: str) -> Upload:
        if key not in self.uploads:
            raise Refused(404, "NoSuchUpload", "there is no such upload")
        return self.uploads[key]

    def finish(self, key: str, data: bytes) -> Stored:
        with self._lock:
            upload = self.upload(key)
            new = self.put(upload.bucket, upload.name, data, upload.fields, upload.conditions)
            del self.uploads[key]
            return new

    @staticmethod
    def _check(found: Stored | None, conditions: Mapping[str, str]) -> None:
        for name, (of_generation, must_equal, status) in CONDITIONS.items():
            if name not in conditions:
                continue
            has = 0 if found is None else found.generation if of_generation else 1
            if (int(conditions[name]) == has) != must_equal:
                raise Refused(status, "conditionNotMet", f"{name} does not hold")
