"""Work shared among threads: NumPy lets go of the interpreter lock inside its loops and its BLAS.

A parallel region gives each thread whole blocks and keeps the BLAS itself at one thread, which
beats one BLAS call after another with its own threads: copies and products then overlap. What a
block computes depends on the block alone, so results do not depend on the number of threads.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import TypeVar

import numpy as np
from threadpoolctl import ThreadpoolController

T = TypeVar("T")

SMALL = 1 << 16
"""Elements below which handing work to threads costs more than it saves."""


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()


def threads() -> int:
    """The threads NumPy's BLAS is set to (OPENBLAS_NUM_THREADS, OMP_NUM_THREADS): ours as well."""
    pools = _blas().select(user_api="blas").lib_controllers
    return max((pool.num_threads for pool in pools), default=1)


@cache
def _pool(workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers, thread_name_prefix="gpucnn")


def run(tasks: Iterable[Callable[[], T]]) -> list[T]:
    """Call every task, on as many threads as the BLAS has; return their results in order."""
    todo = list(tasks)
    workers = threads() if len(todo) > 1 else 1
    if workers == 1:
        return [task() for task in todo]
    with _blas().limit(limits=1, user_api="blas"):
        return list(_pool(workers).map(_quietly, todo))


def _quietly(task: Callable[[], T]) -> T:
    # NumPy's error state does not reach another thread by itself; see NumpyOps.
    with np.errstate(all="ignore"):
        return task()


def over(
    count: int, elements: int, body: Callable[[int, int], T], *, block: int = 1 << 18
) -> list[T]:
    """Call `body(low, high)` over ranges that cover range(count); return the results in order.

    `elements` is what all of `count` amounts to; a range is about `block` elements, so that what
    `body` writes and reads again stays in the core's cache.
    """
    if elements <= SMALL or count < 2:
        return [body(0, count)]
    size = max(1, min(-(-count // 2), block * count // elements))
    return run(partial(body, low, min(low + size, count)) for low in range(0, count, size))
