"""Where a folder of this machine lies: on which file system, and how much room there is."""

import os
import shutil
from pathlib import Path

from klio_dagster.core.size import shown_bytes
from klio_dagster.observe.doctor.finding import About, Finding

LEAST_FREE_BYTES = 1 << 30
LEAST_FREE_SHARE = 0.05

_MOUNTS = Path("/proc/self/mountinfo")
# A rename or a lock there may not be what it is on a disk, or what was written is seen late.
_SHARED = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs"})
_BUCKETS_AS_FOLDERS = frozenset(
    {"gcsfuse", "s3fs", "rclone", "goofys", "blobfuse2", "mountpoint-s3"}
)
_OF_OTHER_MACHINES = frozenset({"sshfs", "glusterfs", "s3ql", "juicefs", "davfs"})


def file_system(folder: Path, mounts: Path = _MOUNTS) -> str:
    """The kind of file system a folder lies on, `ext4`; empty where nobody can tell.

    Args:
        folder: need not exist.
        mounts: what the kernel says of its mounts, in the form of proc(5).
    """
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    inside = os.path.realpath(folder)
    found, length = "", -1
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, rest = before.split(" "), after.split(" ")
        if len(fields) < 5 or len(rest) < 2:
            continue
        point = fields[4].encode().decode("unicode_escape")
        is_above = inside == point or inside.startswith(point.rstrip("/") + "/")
        if is_above and len(point) >= length:  # the last of those at one place lies on top
            named = rest[1] if rest[0] == "fuse" else ""  # gcsfuse says it as its device
            found, length = (f"fuse.{named}" if named else rest[0]), len(point)
    return found


def is_shared(kind: str) -> bool:
    """Whether several machines may write to a file system of that kind."""
    name = kind.removeprefix("fuse.")
    return name in _SHARED | _BUCKETS_AS_FOLDERS | _OF_OTHER_MACHINES


def free_space(about: About, folder: Path) -> Finding:
    """How much room there is in a folder, or where it will be made.

    Raises:
        OSError: nobody can tell.
    """
    there = next(each for each in (folder, *folder.parents) if each.exists())
    usage = shutil.disk_usage(there)
    figures = {"free_bytes": usage.free, "total_bytes": usage.total}
    share = usage.free / max(usage.total, 1)
    said = f"{shown_bytes(usage.free)} of {shown_bytes(usage.total)} free"
    if usage.free < LEAST_FREE_BYTES or share < LEAST_FREE_SHARE:
        remedy = "make room (`klio gc` says what may go), or use a larger disk"
        return about.warn("space", said, remedy, **figures)
    return about.ok("space", said, **figures)


def store_file_system(about: About, folder: Path, mounts: Path = _MOUNTS) -> Finding:
    """Whether the file system under a store keeps what claims and outputs rest on."""
    kind = file_system(folder, mounts)
    if kind.removeprefix("fuse.") in _BUCKETS_AS_FOLDERS:
        said = (
            f"a bucket mounted as a folder ({kind}): no write there is atomic, and none exclusive"
        )
        remedy = "name the bucket itself: gs://…, s3://… or az://…"
        return about.warn("file system", said, remedy, kind=kind)
    if is_shared(kind):
        said = f"it is on the network ({kind}): of two runs at once both may take an entity"
        remedy = "run on one machine only, or keep outputs in a bucket or on a disk"
        return about.warn("file system", said, remedy, kind=kind)
    return about.ok("file system", kind or "unknown", kind=kind)
