"""A wheel out of files as they lie there: no build backend, no index, the same bytes each time."""

import base64
import csv
import hashlib
import io
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

_NOT_CODE = {"__pycache__", "node_modules"}
_EARLIEST = (1980, 1, 1, 0, 0, 0)  # what a zip file can say at least
_TAG = "py3-none-any"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A wheel to be written.

    Args:
        name: of the distribution.
        version: without the local part, which is made from the content.
        files: path in `site-packages` to the file that is put there.
        requires: what it needs, `name==version`; pip reads it, `install.sh` does not.
        scripts: name of a command to `module:function`.
        licence: text of its licence; empty for none.
    """

    name: str
    version: str
    files: Mapping[str, Path]
    requires: Sequence[str] = ()
    scripts: Mapping[str, str] = field(default_factory=dict[str, str])
    licence: str = ""

    @property
    def pinned_version(self) -> str:
        """The version with a local part that changes with any byte of the content.

        An environment that has another one therefore takes this one, whatever it is called.
        """
        digest = hashlib.sha256()
        for path, data in self._content():
            digest.update(f"{path}\0{len(data)}\0".encode())
            digest.update(data)
        digest.update("\n".join([*self.requires, *self.scripts]).encode())
        return f"{self.version}+w{digest.hexdigest()[:10]}"

    def write(self, folder: Path) -> Path:
        """The wheel, written into a folder.

        Raises:
            OSError: the folder takes it not.
        """
        stem = f"{self.name.replace('-', '_')}-{self.pinned_version}"
        info = f"{stem}.dist-info"
        content = [*self._content(), *self._about(info)]
        record = io.StringIO()
        rows = csv.writer(record, lineterminator="\n")  # a file's name may have a comma
        rows.writerows((path, f"sha256={_digest(data)}", len(data)) for path, data in content)
        rows.writerow((f"{info}/RECORD", "", ""))
        target = folder / f"{stem}-{_TAG}.whl"
        partial = target.with_suffix(".partial")
        with ZipFile(partial, "w", ZIP_DEFLATED) as opened:
            for path, data in [*content, (f"{info}/RECORD", record.getvalue().encode())]:
                entry = ZipInfo(path, _EARLIEST)
                entry.compress_type = ZIP_DEFLATED
                entry.external_attr = (stat.S_IFREG | 0o644) << 16
                opened.writestr(entry, data)
        partial.replace(target)
        return target

    def _content(self) -> Iterator[tuple[str, bytes]]:
        for path in sorted(self.files):
            yield path, self.files[path].read_bytes()

    def _about(self, info: str) -> Iterator[tuple[str, bytes]]:
        about = [
            "Metadata-Version: 2.1",
            f"Name: {self.name}",
            f"Version: {self.pinned_version}",
            *(f"Requires-Dist: {each}" for each in self.requires),
        ]
        yield f"{info}/METADATA", ("\n".join(about) + "\n").encode()
        wheel = ["Wheel-Version: 1.0", "Generator: klio", "Root-Is-Purelib: true", f"Tag: {_TAG}"]
        yield f"{info}/WHEEL", ("\n".join(wheel) + "\n").encode()
        if self.scripts:
            lines = ["[console_scripts]", *(f"{name} = {of}" for name, of in self.scripts.items())]
            yield f"{info}/entry_points.txt", ("\n".join(lines) + "\n").encode()
        if self.licence:
            yield f"{info}/licenses/LICENSE", self.licence.encode()


def replace_in(folder: Path, wheel: Wheel) -> Path:
    """The wheel, written into a folder in the place of all that had its name and version before.

    Raises:
        OSError: the folder takes it not.
    """
    written = wheel.write(folder)
    for path in folder.glob(f"{wheel.name.replace('-', '_')}-{wheel.version}+w*.whl"):
        if path != written:
            path.unlink()
    return written


def files_below(folder: Path, at: str) -> dict[str, Path]:
    """All files of a folder, without what Python and others leave in it.

    Args:
        folder: to look through.
        at: where it stands in the wheel, `beam_jobs`.
    """
    return {
        f"{at}/{path.relative_to(folder).as_posix()}": path
        for path in folder.rglob("*")
        if path.is_file() and not _is_left_over(path.relative_to(folder))
    }


def _is_left_over(path: Path) -> bool:
    return (
        bool(_NOT_CODE.intersection(path.parts))
        or path.suffix in {".pyc", ".pyo"}
        or any(part.startswith(".") for part in path.parts)
    )


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
