"""Creation and transfer of arrays."""

from typing import Any

import numpy as np
import pytest

import gpucnn
from gpucnn.errors import DeviceError
from gpucnn.ops.base import Ops


@pytest.mark.parametrize(
    "content", [[1.0, 2.5], [[1, 2], [3, 4]], 3.5, [], np.arange(6.0).reshape(2, 3), (1.5, 2)]
)
def test_asarray_takes_lists_numbers_and_arrays(ops: Ops, dtype: str, content: Any) -> None:
    a = ops.asarray(content, dtype)
    assert ops.is_array(a)
    assert a.dtype == dtype
    assert a.flags.c_contiguous
    assert a.shape == np.shape(content), "a number becomes 0-d"
    np.testing.assert_array_equal(ops.to_numpy(a), np.asarray(content))


def test_asarray_keeps_the_dtype_unless_asked(ops: Ops) -> None:
    for dtype in ("float32", "float64", "int32", "uint8"):
        assert ops.asarray(np.zeros(3, dtype)).dtype == dtype


@pytest.mark.parametrize("order", ["transposed", "strided", "reversed", "fortran"])
def test_asarray_makes_any_layout_c_contiguous(ops: Ops, dtype: str, order: str) -> None:
    base = np.arange(24, dtype=dtype).reshape(4, 6)
    a = {
        "transposed": base.T,
        "strided": base[::2, ::3],
        "reversed": base[::-1],
        "fortran": np.asfortranarray(base),
    }[order]
    moved = ops.asarray(a)
    assert moved.flags.c_contiguous
    np.testing.assert_array_equal(ops.to_numpy(moved), a)


def test_asarray_turns_byte_order(ops: Ops, dtype: str) -> None:
    """The remedy that the error for such an array names must work."""
    foreign = np.arange(3, dtype=np.dtype(dtype).newbyteorder())
    a = ops.asarray(foreign, dtype)
    assert a.dtype.isnative
    np.testing.assert_array_equal(ops.to_numpy(ops.relu_forward(a)), [0, 1, 2])


class Foreign:
    """Another library's array: it gives out `content` where DLPack asks for it."""

    def __init__(self, content: Any, device: tuple[int, int]) -> None:
        self.content, self.device = content, device

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device

    def __dlpack__(self, **_: Any) -> Any:
        return self.content.__dlpack__()


@pytest.fixture(params=["cpu", "emulator"])
def hosted(request: pytest.FixtureRequest) -> Ops:
    """The devices whose arrays lie on the host: no host's array can stand in for a GPU's."""
    return gpucnn.get_ops(request.param)


def test_from_dlpack_is_a_view(hosted: Ops, dtype: str) -> None:
    content = np.arange(4, dtype=dtype)
    a = hosted.from_dlpack(Foreign(content, (1, 0)))
    assert hosted.is_array(a)
    content[0] = 7
    np.testing.assert_array_equal(hosted.to_numpy(a), [7, 1, 2, 3])


def test_from_dlpack_leaves_what_it_cannot_view(ops: Ops) -> None:
    """An array of this device, of another one, and what is no array at all."""
    for a in (ops.zeros((2,), "float32"), Foreign(np.zeros(1), (99, 0)), [1.0], None):
        assert ops.from_dlpack(a) is a


def test_from_dlpack_says_why_not(hosted: Ops) -> None:
    class Kept(Foreign):
        def __dlpack__(self, **_: Any) -> Any:
            raise BufferError("it needs a gradient")

    with pytest.raises(DeviceError, match=r"cannot view a Kept .*it needs a gradient"):
        hosted.from_dlpack(Kept(np.zeros(1), (1, 0)))


def test_zeros_and_empty(ops: Ops, dtype: str) -> None:
    for shape in ((), (0,), (3,), (2, 3, 4)):
        zeros, empty = ops.zeros(shape, dtype), ops.empty(shape, dtype)
        assert not ops.to_numpy(zeros).any()
        for a in (zeros, empty):
            assert ops.is_array(a)
            assert a.shape == shape
            assert a.dtype == dtype
            assert a.flags.c_contiguous


def test_to_numpy_and_is_array(ops: Ops) -> None:
    a = ops.zeros((2, 2), "float32")
    host = ops.to_numpy(a)
    assert type(host) is np.ndarray
    for other in ([1.0], 1.0, np.float32(1), None, "a"):
        assert not ops.is_array(other)
    ops.synchronize()
    np.testing.assert_array_equal(host, np.zeros((2, 2)))
