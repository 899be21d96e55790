"""Arrays that NumPy does not take for its own."""

import ctypes
import weakref
from types import SimpleNamespace
from typing import Any

import numpy as np

from cupy._streams import Stream, get_current_stream, submit

reads_host_late = False
"""Whether the host's plain memory is read when the stream comes to it, as some GPUs can."""


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

    def get(
        self,
        stream: Stream | None = None,
        order: str = "C",
        out: np.ndarray | None = None,
        blocking: bool = True,
    ) -> np.ndarray:
        """The current stream copies into `out`, pinned memory, when it comes to it."""
        assert stream is None
        if out is None:
            return self._done.copy(order="C")
        assert not blocking
        assert self.host.flags.c_contiguous
        assert (out.shape, out.dtype) == (self.shape, self.dtype)
        source, target = _Kept(self.host), _Kept(out)
        assert isinstance(target.owner(), ctypes.Array), "memory that is not pinned"
        submit(lambda: np.copyto(target.array(), source.array()))
        return out

    def copy(self) -> "ndarray":
        return ndarray(self._done.copy())

    def astype(self, dtype: Any) -> "ndarray":
        return ndarray(self._done.astype(dtype))

    def reshape(self, *shape: Any) -> "ndarray":
        return ndarray(self.host.reshape(*shape))

    def view(self, dtype: Any) -> "ndarray":
        return ndarray(self.host.view(dtype))

    def fill(self, value: Any) -> None:
        submit(np.copyto, (self.host, value))

    def __getitem__(self, index: Any) -> "ndarray":
        return ndarray(np.asarray(self.host[index]))

    def __setitem__(self, index: Any, value: Any) -> None:
        parts = index if isinstance(index, tuple) else (index,)
        whole = any(part is Ellipsis for part in parts)
        place = self.host[index if whole else (*parts, ...)]  # a view of one number, too
        submit(np.copyto, (place, _host(value)))

    def set(self, arr: np.ndarray, stream: Stream | None = None) -> None:
        """Another stream than the current one copies from pinned memory, when it comes to it."""
        assert arr.flags.c_contiguous
        assert (arr.shape, arr.dtype) == (self.shape, self.dtype)
        if stream is None:
            get_current_stream()._not_captured()
            submit(np.copyto, (self.host, arr if reads_host_late else arr.copy()))
        else:
            source, target = _Kept(arr), _Kept(self.host)
            assert isinstance(source.owner(), ctypes.Array), "memory that is not pinned"
            submit(lambda: np.copyto(target.array(), source.array()), stream=stream)

    @property
    def _done(self) -> np.ndarray:
        """What lies there when the current stream has done its work."""
        get_current_stream().synchronize()
        return self.host

    def __len__(self) -> int:
        return len(self.host)

    def __float__(self) -> float:
        return float(self._done)

    def __int__(self) -> int:
        return int(self._done)

    def __bool__(self) -> bool:
        return bool(self._done)

    def __abs__(self) -> "ndarray":
        return ndarray(abs(self._done))

    def __mul__(self, other: Any) -> "ndarray":
        return ndarray(self._done * _host(other))

    def __iadd__(self, other: Any) -> "ndarray":
        submit(np.add, (self.host, _host(other), self.host))
        return self

    def __isub__(self, other: Any) -> "ndarray":
        submit(np.subtract, (self.host, _host(other), self.host))
        return self


class _Kept:
    """The place of an array that somebody else must keep until a stream comes to it."""

    def __init__(self, a: np.ndarray) -> None:
        self._shape, self._dtype, self._address = a.shape, a.dtype, a.ctypes.data
        self._nbytes, owner = a.nbytes, a
        while isinstance(owner, np.ndarray) and owner.base is not None:
            owner = owner.base
        self.owner = weakref.ref(owner)

    def array(self) -> np.ndarray:
        assert self.owner() is not None, "a stream comes to memory that was given back before"
        memory: Any = (ctypes.c_ubyte * self._nbytes).from_address(self._address)
        return np.ndarray(self._shape, self._dtype, memory)


def _host(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.ndim:
        raise TypeError(f"Unsupported type {type(value)}")
    return value.host if isinstance(value, ndarray) else value
