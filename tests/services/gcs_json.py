"""The JSON API of Google Cloud Storage, as far as google-cloud-storage needs it."""

import base64
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

from tests.services.gcs_objects import (
    CONDITIONS,
    MOST_PER_PAGE,
    Buckets,
    Refused,
    Stored,
    Upload,
)
from tests.services.gcs_xml import read_answer
from tests.services.web import Answer, Request

_PATH = re.compile(r"(/upload|/download)?/storage/v1/b(?:/([^/]+)(/o)?(?:/(.+))?)?")
_COPY = re.compile(r"(.+)/(copyTo|rewriteTo)/b/([^/]+)/o/(.+)")
_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")


def is_json_path(path: str) -> bool:
    return _PATH.fullmatch(path) is not None


def json_answer(buckets: Buckets, request: Request) -> Answer:
    """What the server answers; an error is JSON, too."""
    try:
        return _answer(buckets, request)
    except Refused as refused:
        error = {"code": refused.status, "message": refused.message}
        errors = [{"message": refused.message, "domain": "global", "reason": refused.reason}]
        return _json({"error": {**error, "errors": errors}}, refused.status)


def _answer(buckets: Buckets, request: Request) -> Answer:
    match = _PATH.fullmatch(request.path)
    assert match is not None
    kind, bucket, below, name = match[1], unquote(match[2] or ""), match[3], match[4]
    conditions = {key: request.query[key] for key in CONDITIONS if key in request.query}
    if not bucket:
        new = json.loads(request.body)["name"]
        buckets.create(new)
        return _json(_bucket(buckets, new))
    if not below:
        return _json(_bucket(buckets, bucket))
    if kind == "/upload":
        return _upload(buckets, request, bucket, conditions)
    if not name:
        return _listing(buckets, request, bucket)
    if copied := _COPY.fullmatch(name):
        return _copied(buckets, request, bucket, copied)
    name = unquote(name)
    if request.method == "DELETE":
        buckets.delete(bucket, name, conditions)
        return Answer(204)
    if request.method != "GET":
        raise Refused(501, "notImplemented", f"{request.method} is not spoken here")
    found = buckets.get(bucket, name, conditions)
    if kind == "/download" or request.query.get("alt") == "media":
        return read_answer(found, request)
    return _json(_resource(bucket, found))


def _bucket(buckets: Buckets, bucket: str) -> dict[str, Any]:
    buckets.objects(bucket)
    return {
        "kind": "storage#bucket",
        "id": bucket,
        "name": bucket,
        "projectNumber": "1234",
        "metageneration": "1",
        "location": "US-CENTRAL1",
        "locationType": "region",
        "storageClass": "STANDARD",
        "softDeletePolicy": {"retentionDurationSeconds": "0"},
        "etag": "CAE=",
    }


def _copied(buckets: Buckets, request: Request, bucket: str, match: re.Match[str]) -> Answer:
    """A copy within one answer, however large: `rewriteTo` may take several of the real service."""
    source = buckets.get(bucket, unquote(match[1]))
    into, name = unquote(match[3]), unquote(match[4])
    fields = {"contentType": source.content_type, "metadata": dict(source.metadata)}
    conditions = {key: request.query[key] for key in CONDITIONS if key in request.query}
    new = _resource(into, buckets.put(into, name, source.data, fields, conditions))
    if match[2] == "copyTo":
        return _json(new)
    sizes = {"totalBytesRewritten": new["size"], "objectSize": new["size"]}
    return _json({"kind": "storage#rewriteResponse", "done": True, "resource": new, **sizes})


def _listing(buckets: Buckets, request: Request, bucket: str) -> Answer:
    query = request.query
    token = query.get("pageToken", "")
    page = buckets.page(
        bucket,
        prefix=query.get("prefix", ""),
        delimiter=query.get("delimiter", ""),
        after=base64.urlsafe_b64decode(token).decode() if token else "",
        begins=query.get("startOffset", ""),
        limit=int(query.get("maxResults", MOST_PER_PAGE)),
    )
    said: dict[str, Any] = {"kind": "storage#objects", "prefixes": list(page.prefixes)}
    said["items"] = [_resource(bucket, each) for each in page.objects]
    if page.next:
        said["nextPageToken"] = base64.urlsafe_b64encode(page.next.encode()).decode()
    return _json(said)


def _upload(
    buckets: Buckets, request: Request, bucket: str, conditions: Mapping[str, str]
) -> Answer:
    query = request.query
    if "upload_id" in query:
        return _resumed(buckets, request, query["upload_id"], bucket)
    match query.get("uploadType"):
        case "media":
            fields: dict[str, Any] = {"contentType": request.headers.get("content-type")}
            new = buckets.put(bucket, query["name"], request.body, fields, conditions)
        case "multipart":
            fields, data = _two_parts(request)
            new = buckets.put(bucket, query.get("name") or fields["name"], data, fields, conditions)
        case "resumable":
            fields = json.loads(request.body or b"{}")
            name = query.get("name") or fields["name"]
            key = buckets.begin(Upload(bucket, name, fields, conditions))
            place = f"{request.base}{request.path}?uploadType=resumable&upload_id={quote(key)}"
            return Answer(200, headers={"Location": place})
        case other:
            raise Refused(400, "invalid", f"uploadType {other}")
    return _json(_resource(bucket, new))


def _resumed(buckets: Buckets, request: Request, key: str, bucket: str) -> Answer:
    upload = buckets.upload(key)
    match = _RANGE.fullmatch(request.headers.get("content-range", ""))
    is_last = match is None
    if match is None:
        upload.data[:] = request.body
    else:
        if match[1] is not None:
            if int(match[1]) > len(upload.data):
                raise Refused(503, "backendError", "what comes before is missing")
            upload.data[int(match[1]) :] = request.body
        is_last = match[3] != "*" and len(upload.data) >= int(match[3])
    if is_last:
        return _json(_resource(bucket, buckets.finish(key, bytes(upload.data))))
    has = {"Range": f"bytes=0-{len(upload.data) - 1}"} if upload.data else {}
    return Answer(308, headers=has)


def _two_parts(request: Request) -> tuple[dict[str, Any], bytes]:
    """The fields and the data of a `multipart/related` body."""
    match = re.search(r'boundary="?([^";]+)"?', request.headers["content-type"])
    assert match is not None
    boundary = b"--" + match[1].encode()
    _, first, rest = request.body.split(boundary, 2)
    fields = json.loads(first.partition(b"\r\n\r\n")[2])
    data = rest[: rest.rindex(boundary)].partition(b"\r\n\r\n")[2]
    return fields, data.removesuffix(b"\r\n")


def _resource(bucket: str, found: Stored) -> dict[str, Any]:
    return {
        "kind": "storage#object",
        "id": f"{bucket}/{found.name}/{found.generation}",
        "name": found.name,
        "bucket": bucket,
        "generation": str(found.generation),
        "metageneration": str(found.metageneration),
        "contentType": found.content_type,
        "timeCreated": found.at,
        "updated": found.at,
        "size": str(len(found.data)),
        "md5Hash": found.md5,
        "crc32c": found.crc32c,
        "etag": found.etag,
        "metadata": dict(found.metadata),
    }


def _json(said: Mapping[str, Any], status: int = 200) -> Answer:
    return Answer(status, json.dumps(said).encode(), "application/json; charset=UTF-8")
