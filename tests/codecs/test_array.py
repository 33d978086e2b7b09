import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from klio_dagster.codecs.array import Array
from klio_dagster.errors import EntityError

DTYPES = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(),
    hnp.unsigned_integer_dtypes(),
    hnp.floating_dtypes(sizes=(16, 32, 64)),
    hnp.complex_number_dtypes(sizes=(64, 128)),
    hnp.datetime64_dtypes(),
    hnp.timedelta64_dtypes(),
    hnp.byte_string_dtypes(),
    hnp.unicode_string_dtypes(),
)


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray:
    """Arrays of every stored kind: C order, Fortran order, neither, empty, without dimensions."""
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5))
    array = draw(hnp.arrays(draw(DTYPES), shape))
    layout = draw(st.sampled_from(["C", "F", "neither"]))
    if layout == "F":
        return np.asfortranarray(array) if array.ndim else array
    if layout == "neither" and array.ndim:
        return array[..., ::-2]
    return array


@given(arrays())
def test_a_consumer_gets_the_same_array_now_and_from_the_store(array):
    dumped = Array().dump(array)

    loaded = Array().load(dumped.data, "mel/a.npy")

    for given_on in (dumped.value, loaded):
        assert given_on.dtype == array.dtype
        np.testing.assert_array_equal(given_on, array)
    assert loaded.strides == dumped.value.strides
    assert loaded.flags.f_contiguous == dumped.value.flags.f_contiguous


@given(arrays())
def test_storing_what_was_loaded_gives_the_same_bytes(array):
    data = Array().dump(array).data

    again = Array().dump(Array().load(data, "mel/a.npy")).data

    assert again == data


@given(arrays())
def test_numpy_itself_reads_what_is_stored(array):
    data = Array().dump(array).data

    read = np.load(io.BytesIO(data), allow_pickle=False)

    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)


@pytest.mark.parametrize("when", ["computed", "loaded"])
def test_no_consumer_can_change_what_the_next_one_gets(when):
    dumped = Array().dump(np.arange(6.0))
    array = dumped.value if when == "computed" else Array().load(dumped.data, "mel/a.npy")

    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1.0
    with pytest.raises(ValueError, match="WRITEABLE"):
        array.flags.writeable = True


def test_a_buffer_the_transform_uses_again_does_not_change_what_was_passed_on():
    buffer = np.ones((2, 3), np.float32)
    dumped = Array().dump(buffer)

    buffer[:] = 7

    assert dumped.value.tolist() == [[1, 1, 1], [1, 1, 1]]


def test_the_ui_shows_shape_type_range_and_a_picture():
    mel = np.array([[0.5, 1.5], [2.5, -1.0]], np.float32)

    dumped = Array().dump(mel)

    assert dumped.metadata == {"shape": "2 x 2", "dtype": "float32", "min": -1.0, "max": 2.5}
    assert dumped.figures["heatmap"].startswith(b"\x89PNG")
    assert len(dumped.figures["heatmap"]) <= 700


@pytest.mark.parametrize(
    "array",
    [
        pytest.param(np.zeros((0, 4), np.float32), id="no rows"),
        pytest.param(np.zeros((4, 0), np.float32), id="no columns"),
        pytest.param(np.zeros((1, 1), np.float32), id="one value"),
        pytest.param(np.full((3, 4), np.nan), id="all nan"),
        pytest.param(np.array([[np.inf, -np.inf], [1e308, -1e308]]), id="huge"),
        pytest.param(np.zeros((3, 5000), np.float16), id="long half precision"),
    ],
)
def test_an_odd_array_is_stored_and_its_pictures_stay_small(array):
    dumped = Array().dump(array)

    np.testing.assert_array_equal(dumped.value, array)
    assert all(len(png) <= 700 for png in dumped.figures.values())


def test_values_that_are_not_finite_are_counted_and_left_out_of_the_range():
    dumped = Array().dump(np.array([1.0, np.nan, 3.0, -np.inf]))

    assert dumped.metadata["non_finite"] == 2
    assert (dumped.metadata["min"], dumped.metadata["max"]) == (1.0, 3.0)


@pytest.mark.parametrize(
    "value,says",
    [
        pytest.param(None, "returned None, not a numpy array", id="forgotten return"),
        pytest.param([1.0, 2.0], "returned list, not a numpy array", id="list"),
        pytest.param(np.float32(1), "returned numpy.float32", id="numpy scalar"),
        pytest.param(np.ma.array([1], mask=[True]), "numpy.MaskedArray", id="masked"),
        pytest.param(np.array([object()]), "only a pickle could store", id="objects"),
        pytest.param(np.array([(1, "x")], "i4,O"), "only a pickle could", id="objects inside"),
        pytest.param(np.zeros(2, "f8,i4"), "same bytes each time", id="structured"),
        pytest.param(np.zeros(2, np.longdouble), "same bytes each time", id="long double"),
    ],
)
def test_a_value_that_is_no_plain_array_is_refused_in_one_line(value, says):
    with pytest.raises(EntityError) as caught:
        Array().dump(value)

    assert says in str(caught.value)
    assert str(caught.value).startswith("Array: ")
    assert "\n" not in str(caught.value)


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"hello", id="text"),
        pytest.param(_npy(np.zeros(9))[:-1], id="truncated"),
        pytest.param(_npy(np.zeros(9)) + b"\0", id="too long"),
        pytest.param(_npy(np.array([{"a": 1}])), id="pickle"),
        pytest.param(b"\x93NUMPY\x01\x00\x76\x00" + b"(" * 118, id="nested header"),
        pytest.param(_npy(np.zeros(1)).replace(b"(1,), ", b"(1L,),"), id="of Python 2"),
        pytest.param(_npy(np.zeros(1)).replace(b"(1,)", b"(-1,)"), id="negative shape"),
        pytest.param(_npy(np.zeros(1)).replace(b"(1,), }   ", b"(10**9,)}"), id="huge shape"),
    ],
)
def test_stored_bytes_that_are_no_array_are_one_clear_error(data):
    with pytest.raises(EntityError, match=r"^mel/a.npy: this is not a .npy array") as caught:
        Array().load(data, "mel/a.npy")

    assert "\n" not in str(caught.value)


@given(st.binary(max_size=200))
def test_bytes_of_any_content_never_raise_anything_else(noise):
    header = b"\x93NUMPY\x01\x00" + len(noise).to_bytes(2, "little") + noise

    for data in (noise, header):
        try:
            Array().load(data, "mel/a.npy")
        except EntityError as error:
            assert error.where == "mel/a.npy"  # noqa: PT017 - not every example must fail
