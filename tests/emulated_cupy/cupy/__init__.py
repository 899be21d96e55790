"""CuPy without a GPU, for tests of what runs on cuda: put this folder's parent on the path.

Arrays lie in host memory, but are no NumPy arrays and turn into none by themselves, as CuPy's do
not; kernels run on the emulator, with their arguments unpacked from the bytes that CuPy would copy.
Only what gpucnn and its scripts use is here. tests/runtime/test_cupy.py holds the names against
CuPy itself.
"""

from typing import Any

import numpy as np

from cupy import cuda
from cupy._array import ndarray
from cupy._raw import RawModule
from cupy._streams import submit

__all__ = [
    "RawModule", "asarray", "cuda", "empty", "from_dlpack", "get_default_memory_pool", "ndarray",
    "resize", "zeros",
]  # fmt: skip
__version__ = "14.0.0"


def empty(shape: Any, dtype: Any) -> ndarray:
    a = np.empty(shape, dtype)
    a.reshape(-1).view(np.uint8)[...] = 0xFF
    return ndarray(a)


def zeros(shape: Any, dtype: Any) -> ndarray:
    a = empty(shape, dtype)
    a.fill(0)
    return a


def asarray(a: Any, dtype: Any = None, order: str | None = None) -> ndarray:
    if not isinstance(a, ndarray):
        host = np.array(a, dtype, order=order or "K")
        there = ndarray(np.empty_like(host))
        submit(np.copyto, (there.host, host))
        return there
    host = np.asarray(a.host, dtype, order)
    return a if host is a.host else ndarray(np.asarray(a._done, dtype, order))


def from_dlpack(a: Any) -> ndarray:
    return ndarray(a.__dlpack__())


def resize(a: ndarray, shape: Any) -> ndarray:
    return ndarray(np.resize(a._done, shape))


def get_default_memory_pool() -> Any:
    return cuda.pool
