"""What one needs at a bucket, by the words of its provider."""

from collections.abc import Mapping

_BLOBS_READ, _BLOBS_WRITTEN = "Storage Blob Data Reader", "Storage Blob Data Contributor"
_NEEDED: Mapping[str, Mapping[str, str]] = {
    "gs": {
        "list": "storage.objects.list",
        "read": "storage.objects.get",
        "create": "storage.objects.create",
        "create once": "storage.objects.create",
        "overwrite": "storage.objects.create and storage.objects.delete",
        "delete": "storage.objects.delete",
    },
    "s3": {
        "list": "s3:ListBucket",
        "read": "s3:GetObject",
        "create": "s3:PutObject",
        "create once": "s3:PutObject",
        "overwrite": "s3:PutObject",
        "delete": "s3:DeleteObject",
    },
    "az": {
        "list": _BLOBS_READ,
        "read": _BLOBS_READ,
        "create": _BLOBS_WRITTEN,
        "create once": _BLOBS_WRITTEN,
        "overwrite": _BLOBS_WRITTEN,
        "delete": _BLOBS_WRITTEN,
    },
}


def needed(url: str, what: str) -> str | None:
    """What to grant to whoever asks a bucket for something; None where that is not known.

    Args:
        url: of the store.
        what: list, read, create, create once, overwrite or delete.
    """
    found = _NEEDED.get(url.partition("://")[0], {}).get(what)
    return found and f"provide valid credentials, and grant them {found}"
