"""Memory of a device as an arena takes it: blocks, and arrays at a place inside one.

An array in a block has a token that lives until the array and every view of it are gone; so the
place may be used again once the token has died.
"""

import ctypes
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from math import prod
from typing import Any, Protocol

import numpy as np

ALIGNMENT = 256
"""What blocks, and the places inside them, begin at a multiple of: cudaMalloc's own."""


def address(a: Any) -> int:
    """Where the elements of a NumPy or CuPy array begin."""
    return int(a.ctypes.data if isinstance(a, np.ndarray) else a.data.ptr)


class Memory(Protocol):
    """Where the arrays of one device lie."""

    apart: bool
    """Whether arrays that live at a time lie apart: not where they are only counted."""

    def block(self, size: int) -> Any:
        """`size` bytes, not initialised; they stay while an array in them does."""

    def place(self, block: Any, offset: int, shape: Sequence[int], dtype: Any) -> tuple[Any, Any]:
        """An array of the device that begins `offset` bytes into the block, and its token."""

    def free_bytes(self) -> int | None:
        """What of the device's own memory nobody has taken; None where it is the host's."""

    def release(self) -> None:
        """Give back to the system what no array needs, before a large block is asked for."""

    def copy(self, target: Any, source: Any) -> None:
        """Overwrite `target` with another array of the device, of its shape, dtype and layout."""

    def clear(self, target: Any) -> None:
        """Overwrite `target` with zeros."""

    def write(self, target: Any, host: Any) -> None:
        """Overwrite `target` with a NumPy array of its shape, dtype and layout."""

    def fetch(self, source: Any) -> Callable[[], Any]:
        """Copy a C-contiguous array to the host once the work launched so far is done.

        The host goes on; what is returned waits for the copy and gives it, as a NumPy array.
        """


class Recording:
    """Work on arrays of the host, done anew at every launch: at their addresses, as a CUDA graph.

    It keeps no array, so that what lies there may be the arena's.
    """

    def __init__(self) -> None:
        self._work: list[tuple[Callable[..., None], list[Any]]] = []

    def add(self, work: Callable[..., None], args: Sequence[Any]) -> None:
        """`work(*args)`, with arrays by address and structs by value."""
        self._work.append((work, [_by_address(a) for a in args]))

    def launch(self) -> None:
        for work, args in self._work:
            work(*args)


def _by_address(a: Any) -> Any:
    if not isinstance(a, np.ndarray):
        return a
    if a.dtype.names is not None:
        return a.copy()
    memory: Any = (ctypes.c_ubyte * a.nbytes).from_address(a.ctypes.data)
    return np.ndarray(a.shape, a.dtype, memory)


class _Block(np.ndarray):
    """Bytes that own their memory. The array made over them is what every view of it keeps.

    NumPy shortens a view's chain of bases where all are of one type: over a block of this type,
    it stops at the array that was handed out, which thus is its own token.
    """


class HostMemory:
    """Memory of the host, for the devices whose arrays are NumPy's."""

    apart = True
    recording: Recording | None = None
    """Where copies go instead of being done, while there is one."""

    def block(self, size: int) -> Any:
        block = _Block((size + ALIGNMENT,), np.uint8)
        start = -block.ctypes.data % ALIGNMENT
        return block, start

    def place(self, block: Any, offset: int, shape: Sequence[int], dtype: Any) -> tuple[Any, Any]:
        memory, start = block
        a: Any = np.ndarray(shape, dtype, memory, start + offset)
        return a, a

    def free_bytes(self) -> int | None:
        return None

    def release(self) -> None:
        """What no array needs is given back at once."""

    def copy(self, target: Any, source: Any) -> None:
        if self.recording is None:
            np.copyto(target, source)
        else:
            self.recording.add(np.copyto, (target, source))

    def clear(self, target: Any) -> None:
        self.copy(target, 0)

    def write(self, target: Any, host: Any) -> None:
        np.copyto(target, host)

    def fetch(self, source: Any) -> Callable[[], Any]:
        copy = source.copy()
        return lambda: copy


class _Token:
    """What the arrays at one place of a CUDA block hold, and through it the block."""

    __slots__ = ("__weakref__", "block")

    def __init__(self, block: Any) -> None:
        self.block = block


class CudaMemory:
    """Memory of one CUDA device, through CuPy; `xp` allocates it and reports what goes wrong.

    `reported` does so for copies whose end somebody waits for.
    """

    apart = True

    def __init__(
        self,
        cupy: Any,
        xp: Any,
        device: int,
        reported: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._cupy, self._xp, self._device, self._reported = cupy, xp, device, reported

    def block(self, size: int) -> Any:
        return self._xp.empty((size,), "uint8")

    def place(self, block: Any, offset: int, shape: Sequence[int], dtype: Any) -> tuple[Any, Any]:
        token = _Token(block)
        size = prod(shape) * np.dtype(dtype).itemsize
        # CuPy's views share the memory of their array, and so its owner.
        memory = self._cupy.cuda.UnownedMemory(block.data.ptr + offset, size, token, self._device)
        pointer = self._cupy.cuda.MemoryPointer(memory, 0)
        return self._cupy.ndarray(shape, dtype, pointer), token

    def free_bytes(self) -> int | None:
        free, _ = self._cupy.cuda.Device(self._device).mem_info
        return int(free)

    def release(self) -> None:
        # The first step's arrays lie in CuPy's pool, too small each for the block to come.
        self._cupy.get_default_memory_pool().free_all_blocks()

    def copy(self, target: Any, source: Any) -> None:
        target[...] = source

    def clear(self, target: Any) -> None:
        target.fill(0)

    def write(self, target: Any, host: Any) -> None:
        target.set(host)

    def fetch(self, source: Any) -> Callable[[], Any]:
        # The host does not wait for a copy into pinned memory.
        pinned = self._cupy.cuda.alloc_pinned_memory(source.nbytes)
        host: Any = np.ndarray(source.shape, source.dtype, pinned)
        copied = self._cupy.cuda.Event(disable_timing=True)
        with self._reported():
            source.get(out=host, blocking=False)
            copied.record()

        def result() -> Any:
            with self._reported():
                copied.synchronize()
            return host

        return result
