"""What the families share: arrays, and work in parts with memory that was set aside for it."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np

from gpucnn.ops.contract.arrays import Array, ArrayOps
from gpucnn.ops.cpu import parallel
from gpucnn.runtime.memory import HostMemory, Memory

ALIGNMENT = 64
"""Bytes that scratch arrays begin at a multiple of: a line of the cache."""


class Scratch:
    """Arrays for one part of a work, one behind the other in memory that the next part reuses."""

    def __init__(self, memory: Array) -> None:
        self._memory, self._used = memory, 0

    def __call__(self, shape: Sequence[int] | int, dtype: Any) -> Array:
        """An uninitialised array."""
        sizes = (shape,) if isinstance(shape, int) else tuple(shape)
        dtype = np.dtype(dtype)
        begin = self._used
        end = begin + prod(sizes) * dtype.itemsize
        self._used = -(-end // ALIGNMENT) * ALIGNMENT
        return self._memory[begin:end].view(dtype).reshape(sizes)

    def like(self, a: Array, dtype: Any = None) -> Array:
        """An uninitialised array of a's shape, and its dtype unless another is given."""
        return self(a.shape, a.dtype if dtype is None else dtype)


ARRAYS = 16
"""Most arrays that a part takes from its scratch: each may begin a line later."""


class CpuArrayOps(ArrayOps):
    """Arrays of NumPy. What a method needs beside its results comes from `empty` too.

    Parts of a work may run in other threads, which ask for nothing: their memory is set aside
    before, so requests come in one order.
    """

    name = "cpu"
    memory: Memory = HostMemory()

    def asarray(self, a: Any, dtype: Any = None) -> Array:
        return np.require(a, dtype, "C")

    def to_numpy(self, a: Array) -> Any:
        return np.asarray(a)

    def _empty(self, shape: tuple[int, ...], dtype: Any) -> Array:
        return np.empty(shape, dtype)

    def _zeros(self, shape: tuple[int, ...], dtype: Any) -> Array:
        return np.zeros(shape, dtype)

    def synchronize(self) -> None:
        """NumPy has finished when it returns."""

    def _from_dlpack(self, a: Any) -> Array:
        return np.from_dlpack(a)

    def is_array(self, a: Any) -> bool:
        return isinstance(a, np.ndarray)

    def _run(self, tasks: Iterable[Callable[[], None]]) -> None:
        """All tasks, on as many threads."""
        parallel.run(tasks)

    def _scratch(self, size: int) -> Scratch:
        """Room for at most ARRAYS arrays of `size` bytes in all."""
        return Scratch(self.empty((size + ARRAYS * ALIGNMENT,), "uint8"))

    def _shares(
        self, parts: Sequence[Any], size: int, together: bool, body: Callable[..., None]
    ) -> None:
        """body(index, part, scratch) for all parts, shared among the threads if `together`.

        `size` is what the scratch arrays of the largest part take.
        """
        workers = min(parallel.threads(), len(parts)) if together else 1
        room = size + ARRAYS * ALIGNMENT
        memory = self.empty((max(1, workers), room), "uint8")

        def work(worker: int) -> None:
            for index in range(worker, len(parts), workers):
                body(index, parts[index], Scratch(memory[worker]))

        self._run(partial(work, worker) for worker in range(workers))

    def _over(
        self,
        count: int,
        elements: int,
        body: Callable[[int, int, Scratch], None],
        *,
        scratch: int = 0,
        block: int = 1 << 18,
    ) -> None:
        """body(low, high, scratch) over ranges that cover range(count).

        `elements` is what all of `count` amounts to; a range is about `block` elements, so that
        what is written and read again stays in the core's cache. The scratch arrays of a part may
        take `scratch` bytes for each of its `count`.
        """
        ranges = parallel.ranges(count, elements, block)
        self._shares(
            ranges,
            scratch * (ranges[0][1] - ranges[0][0]),
            elements > parallel.SMALL,
            lambda _, part, take: body(part[0], part[1], take),
        )

    def _reduced(
        self,
        count: int,
        elements: int,
        shape: Sequence[int],
        dtype: Any,
        body: Callable[[Array, int, int, Scratch], None],
        *,
        scratch: int = 0,
        fixed: int = 0,
    ) -> Array:
        """body(out, low, high, scratch) as `_over`, each with an array of `shape` for its result.

        Returns the results (ranges, *shape) in order; `fixed` bytes of scratch do not grow with
        the range.
        """
        ranges = parallel.ranges(count, elements)
        results = self.empty((len(ranges), *shape), dtype)

        def part(index: int, span: tuple[int, int], take: Scratch) -> None:
            body(results[index : index + 1].reshape(shape), span[0], span[1], take)

        room = fixed + scratch * (ranges[0][1] - ranges[0][0])
        self._shares(ranges, room, elements > parallel.SMALL, part)
        return results
