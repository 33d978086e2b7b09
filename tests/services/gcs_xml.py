"""The XML API of Google Cloud Storage, as far as obstore speaks it."""

import base64
from urllib.parse import unquote
from xml.sax.saxutils import escape

from tests.services.gcs_objects import MOST_PER_PAGE, Buckets, Page, Refused, Stored, Upload
from tests.services.web import Answer, Request, part_of

_CONDITIONS = {
    "x-goog-if-generation-match": "ifGenerationMatch",
    "x-goog-if-metageneration-match": "ifMetagenerationMatch",
}
_NAMESPACE = "xmlns='http://doc.s3.amazonaws.com/2006-03-01'"


def xml_answer(buckets: Buckets, request: Request) -> Answer:
    """What the server answers; an error is XML, too."""
    bucket, _, name = request.path[1:].partition("/")
    try:
        return _answer(buckets, request, unquote(bucket), unquote(name))
    except Refused as refused:
        text = f"<Error><Code>{refused.reason}</Code><Message>{refused.message}</Message></Error>"
        return _xml(text, refused.status)


def _answer(buckets: Buckets, request: Request, bucket: str, name: str) -> Answer:
    if not name:
        return _listing(buckets, request, bucket)
    conditions = {
        ours: request.headers[theirs]
        for theirs, ours in _CONDITIONS.items()
        if theirs in request.headers
    }
    match request.method:
        case "GET" | "HEAD":
            return read_answer(buckets.get(bucket, name, conditions), request)
        case "DELETE" if "uploadId" in request.query:
            buckets.uploads.pop(request.query["uploadId"], None)
            return Answer(204)
        case "DELETE":
            buckets.delete(bucket, name, conditions)
            return Answer(204)
        case "POST" | "PUT" if {"uploads", "uploadId"} & set(request.query):
            return _in_parts(buckets, request, Upload(bucket, name, {}, conditions))
        case "PUT":
            data = request.body
            if source := request.headers.get("x-goog-copy-source"):
                from_bucket, _, from_name = unquote(source).lstrip("/").partition("/")
                data = buckets.get(from_bucket, from_name).data
            fields = {"contentType": request.headers.get("content-type")}
            new = buckets.put(bucket, name, data, fields, conditions)
            return Answer(200, headers=new.headers)
    raise Refused(501, "NotImplemented", f"{request.method} is not spoken here")


def read_answer(found: Stored, request: Request) -> Answer:
    """The bytes of an object, or the part that is asked for."""
    wanted = request.headers.get("if-match")
    if wanted is not None and wanted.strip('"') != found.etag:
        raise Refused(412, "PreconditionFailed", "it is another generation by now")
    status, data, headers = part_of(found.data, request.headers.get("range"))
    return Answer(status, data, found.content_type, {**found.headers, **headers})


def _listing(buckets: Buckets, request: Request, bucket: str) -> Answer:
    query = request.query
    token = query.get("continuation-token", "")
    after = base64.urlsafe_b64decode(token).decode() if token else query.get("start-after", "")
    page = buckets.page(
        bucket,
        prefix=query.get("prefix", ""),
        delimiter=query.get("delimiter", ""),
        after=after,
        limit=int(query.get("max-keys", MOST_PER_PAGE)),
    )
    return _xml(f"<ListBucketResult {_NAMESPACE}>{_page(page)}</ListBucketResult>")


def _page(page: Page) -> str:
    more = base64.urlsafe_b64encode(page.next.encode()).decode()
    return "".join(
        [
            f"<KeyCount>{len(page.objects)}</KeyCount>",
            f"<IsTruncated>{str(bool(page.next)).lower()}</IsTruncated>",
            f"<NextContinuationToken>{more}</NextContinuationToken>" if more else "",
            *(
                f"<Contents><Key>{escape(each.name)}</Key><Size>{len(each.data)}</Size>"
                f"<Generation>{each.generation}</Generation>"
                f"<LastModified>{each.at}</LastModified><ETag>&quot;{each.etag}&quot;</ETag>"
                "</Contents>"
                for each in page.objects
            ),
            *(
                f"<CommonPrefixes><Prefix>{escape(each)}</Prefix></CommonPrefixes>"
                for each in page.prefixes
            ),
        ]
    )


def _in_parts(buckets: Buckets, request: Request, upload: Upload) -> Answer:
    """An upload in parts: begun, one part, or finished."""
    if "uploads" in request.query:
        key = buckets.begin(upload)
        return _xml(
            f"<InitiateMultipartUploadResult {_NAMESPACE}><Bucket>{upload.bucket}</Bucket>"
            f"<Key>{escape(upload.name)}</Key><UploadId>{key}</UploadId>"
            "</InitiateMultipartUploadResult>"
        )
    key = request.query["uploadId"]
    if request.method == "PUT":
        number = int(request.query["partNumber"])
        buckets.upload(key).parts[number] = request.body
        return Answer(200, headers={"ETag": f'"{number}"'})
    parts = buckets.upload(key).parts
    new = buckets.finish(key, b"".join(parts[number] for number in sorted(parts)))
    return _xml(
        f"<CompleteMultipartUploadResult {_NAMESPACE}><Bucket>{upload.bucket}</Bucket>"
        f"<Key>{escape(upload.name)}</Key><ETag>&quot;{new.etag}&quot;</ETag>"
        "</CompleteMultipartUploadResult>",
        headers={"x-goog-generation": str(new.generation)},
    )


def _xml(text: str, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    whole = f"<?xml version='1.0' encoding='UTF-8'?>{text}".encode()
    return Answer(status, whole, "application/xml", headers or {})
