"""Arrays that NumPy does not take for its own."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from cupy import cuda


class ndarray:
    """What gpucnn uses of cupy.ndarray; `host` is where it lies."""

    __array_priority__ = 100
    __hash__ = None

    def __init__(self, host: Any, dtype: Any = None, memptr: Any = None) -> None:
        """An array around `host`, or, as CuPy's, of a shape at a place in memory."""
        self.host = host if memptr is None else np.ndarray(host, dtype, memptr.mem.bytes)

    def __getattr__(self, name: str) -> Any:
        if name in ("shape", "dtype", "ndim", "size", "itemsize", "nbytes", "strides", "flags"):
            return getattr(self.host, name)
        raise AttributeError(name)

    def __array__(self, *arguments: Any, **options: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`.")

    __array_ufunc__ = None

    @property
    def __cuda_array_interface__(self) -> Any:
        return {"shape": self.shape, "version": 3}

    @property
    def device(self) -> Any:
        return SimpleNamespace(id=0)

    @property
    def data(self) -> Any:
        return SimpleNamespace(ptr=self.host.ctypes.data)

    @property
    def T(self) -> "ndarray":
        return ndarray(self.host.T)

    def get(self) -> np.ndarray:
        cuda._wait()
        return self.host.copy(order="C")

    def copy(self) -> "ndarray":
        return ndarray(self.host.copy())

    def astype(self, dtype: Any) -> "ndarray":
        return ndarray(self.host.astype(dtype))

    def reshape(self, *shape: Any) -> "ndarray":
        return ndarray(self.host.reshape(*shape))

    def view(self, dtype: Any) -> "ndarray":
        return ndarray(self.host.view(dtype))

    def fill(self, value: Any) -> None:
        self.host.fill(value)

    def __getitem__(self, index: Any) -> "ndarray":
        return ndarray(np.asarray(self.host[index]))

    def __setitem__(self, index: Any, value: Any) -> None:
        if cuda.captured is None:
            self.host[index] = _host(value)
        else:
            cuda.captured.add(np.copyto, (self.host[index], _host(value)))

    def set(self, arr: np.ndarray, stream: Any = None) -> None:
        cuda._wait()
        assert arr.flags.c_contiguous
        assert (arr.shape, arr.dtype) == (self.shape, self.dtype)
        self.host[...] = arr

    def __len__(self) -> int:
        return len(self.host)

    def __float__(self) -> float:
        return float(self.host)

    def __int__(self) -> int:
        return int(self.host)

    def __bool__(self) -> bool:
        return bool(self.host)

    def __abs__(self) -> "ndarray":
        return ndarray(abs(self.host))

    def __mul__(self, other: Any) -> "ndarray":
        return ndarray(self.host * _host(other))

    def __iadd__(self, other: Any) -> "ndarray":
        self.host += _host(other)
        return self

    def __isub__(self, other: Any) -> "ndarray":
        self.host -= _host(other)
        return self


def _host(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.ndim:
        raise TypeError(f"Unsupported type {type(value)}")
    return value.host if isinstance(value, ndarray) else value
