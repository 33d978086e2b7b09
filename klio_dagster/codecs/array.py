"""`Array()`: a numpy array as .npy, never a pickle."""

import math
import warnings
from dataclasses import dataclass
from io import BytesIO
from tokenize import TokenError
from typing import Any, cast

import numpy as np
from numpy.lib import format as npy

from klio_dagster.audio.thumbnails import heatmap_png
from klio_dagster.codecs.refusal import refused_bytes, refused_value
from klio_dagster.core.output import Dumped, Json, Scalar
from klio_dagster.errors import EntityError

_WHERE = "Array"
_STORED_KINDS = frozenset("biufcSUmM")  # numpy's letters: truth values, numbers, text, times
_WIDEST_NUMBER_BYTES = {"f": 8, "c": 16}  # wider ones have padding bytes of any content
_OTHER_WAYS = "use .astype with a plain number or text dtype, or store it with Table() or Json()"
# What numpy's reader raises for bytes of any content; its header is a Python literal.
_NOT_NPY = (
    ValueError,
    TypeError,
    OverflowError,
    SyntaxError,
    TokenError,
    RecursionError,
    MemoryError,
    UserWarning,
)


@dataclass(frozen=True, slots=True)
class Array:
    """Stores a numpy array of any shape as .npy: dtype, bytes and memory order are kept.

    Consumers get a read-only view on the stored bytes, the same whether the array was computed a
    moment ago or loaded: `array.copy()` gives one to write into.
    """

    @property
    def name(self) -> str:
        """The name in a manifest."""
        return "array"

    @property
    def suffix(self) -> str:
        """The end of the file name."""
        return ".npy"

    def dump(self, value: object) -> Dumped:
        """The array as .npy (format 1.0).

        An array that is contiguous in neither C nor Fortran order is copied into C order.

        Raises:
            EntityError: it is not an array of numbers, truth values, text or times.
        """
        if not isinstance(value, np.ndarray) or isinstance(value, np.ma.MaskedArray):
            raise EntityError(
                *refused_value(
                    cast("object", value),
                    _WHERE,
                    "a numpy array",
                    "return np.asarray(...), or .filled(...) of a masked array",
                )
            )
        array = cast("np.ndarray[Any, Any]", np.asarray(cast("Any", value)))
        objection = _objection(array.dtype)
        if objection:
            raise EntityError(objection, where=_WHERE, fix=_OTHER_WAYS)
        if not (array.flags.c_contiguous or array.flags.f_contiguous):
            array = np.ascontiguousarray(array)
        fields = npy.header_data_from_array_1_0(array)
        header = BytesIO()
        npy.write_array_header_1_0(header, fields)
        data = b"".join((header.getvalue(), _raw(array)))
        stored = _view(data, header.tell(), array.dtype, array.shape, fields["fortran_order"])
        is_picture = stored.ndim == 2 and stored.dtype.kind == "f" and stored.size > 0
        figures = {"heatmap": heatmap_png(stored)} if is_picture else {}
        return Dumped(data, stored, _metadata(stored), figures)

    def load(self, data: bytes, where: str) -> np.ndarray[Any, Any]:
        """The stored array, a read-only view on `data`.

        Raises:
            EntityError: the bytes are not .npy, or hold Python objects.
        """
        try:
            return _parsed(data)
        except _NOT_NPY as error:
            raise EntityError(*refused_bytes(where, "a .npy array", error)) from error

    def to_json(self) -> dict[str, Json]:
        """The parameters: none."""
        return {}


def _parsed(data: bytes) -> np.ndarray[Any, Any]:
    """The array in the bytes of a .npy file.

    Raises:
        ValueError: it is none, or none that `Array` stores.
    """
    header = BytesIO(data)
    version = npy.read_magic(header)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    with warnings.catch_warnings():
        # A header that is no literal, read as Python 2 would have written it, is none of ours.
        warnings.simplefilter("error", UserWarning)
        shape, is_fortran, dtype = read(header)
    objection = _objection(dtype)
    if objection:
        raise ValueError(objection)
    if len(data) - header.tell() != math.prod(shape) * dtype.itemsize:
        raise ValueError("it is not as long as it says")
    return _view(data, header.tell(), dtype, shape, is_fortran)


def _view(
    data: bytes, offset: int, dtype: np.dtype[Any], shape: tuple[int, ...], is_fortran: bool
) -> np.ndarray[Any, Any]:
    """The array inside the bytes of a .npy file. Bytes cannot change, so neither can it."""
    order = "F" if is_fortran else "C"
    return np.ndarray(shape, dtype, buffer=data, offset=offset, order=order)


def _raw(array: np.ndarray[Any, Any]) -> memoryview | bytes:
    """The bytes of a contiguous array in its own order, not copied."""
    if array.nbytes == 0:
        return b""
    body = array if array.flags.c_contiguous else array.T
    return body.reshape(-1).view(np.uint8).data


def _objection(dtype: np.dtype[Any]) -> str | None:
    """Why arrays of this dtype are not stored; None when they are."""
    if dtype.hasobject:
        return "the array holds Python objects, which only a pickle could store"
    if dtype.kind not in _STORED_KINDS or (
        dtype.itemsize > _WIDEST_NUMBER_BYTES.get(dtype.kind, dtype.itemsize)
    ):
        return f"an array of dtype {dtype} does not have the same bytes each time"
    return None


def _metadata(array: np.ndarray[Any, Any]) -> dict[str, Scalar]:
    """Shape and dtype; of real numbers the range of the finite ones and how many are not."""
    shape = " x ".join(str(length) for length in array.shape) or "scalar"
    metadata: dict[str, Scalar] = {"shape": shape, "dtype": str(array.dtype)}
    if array.dtype.kind not in "iuf" or array.size == 0:
        return metadata
    low, high = array.min().item(), array.max().item()
    if not (math.isfinite(low) and math.isfinite(high)):
        finite = array[np.isfinite(array)]
        metadata["non_finite"] = array.size - finite.size
        if finite.size == 0:
            return metadata
        low, high = finite.min().item(), finite.max().item()
    return {**metadata, "min": low, "max": high}
