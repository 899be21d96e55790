"""Work shared among threads: NumPy lets go of the interpreter lock inside its loops and its BLAS.

All of the `cpu` device's work runs with the BLAS at one thread, and large work as blocks on as many
threads as the BLAS was set to. So copies and products overlap, and no BLAS thread spins for a core
that somebody else is using, which slows small networks down most on a busy machine. What a block
computes depends on the block alone: results do not depend on the number of threads.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import copy_context
from functools import cache
from threading import Lock
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

T = TypeVar("T")

SMALL = 1 << 18
"""Elements below which handing work to threads costs more than it saves."""


class _Blas:
    """The loaded BLAS libraries, and how many of our calls are at work in them."""

    def __init__(self) -> None:
        self.libraries: list[Any] = ThreadpoolController().select(user_api="blas").lib_controllers
        self.lock = Lock()
        self.calls = 0
        self.settings: list[int] = []

    def threads(self) -> int:
        with self.lock:
            settings = self.settings if self.calls else self._read()
        return max(settings, default=1)

    def _read(self) -> list[int]:
        return [library.get_num_threads() for library in self.libraries]

    def _write(self, settings: list[int]) -> None:
        for library, count in zip(self.libraries, settings, strict=True):
            library.set_num_threads(count)

    @contextmanager
    def one_thread(self) -> Iterator[None]:
        """The setting is the process's: the first call in changes it, the last one out restores."""
        with self.lock:
            if self.calls == 0:
                self.settings = self._read()
                self._write([1] * len(self.settings))
            self.calls += 1
        try:
            yield
        finally:
            with self.lock:
                self.calls -= 1
                if self.calls == 0:
                    self._write(self.settings)


@cache
def _blas() -> _Blas:
    return _Blas()


@cache
def _pool(workers: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(workers, thread_name_prefix="gpucnn")


def threads() -> int:
    """The threads NumPy's BLAS is set to (OPENBLAS_NUM_THREADS, OMP_NUM_THREADS): ours as well."""
    return _blas().threads()


def run(tasks: Iterable[Callable[[], T]], *, together: bool = True) -> list[T]:
    """Call every task, `together` or one after another; return their results in order.

    Each thread takes every n-th task, the caller's thread among them: handing over a task costs
    more than many a task does.
    """
    todo = list(tasks)
    workers = min(threads(), len(todo)) if together else 1
    with _blas().one_thread():
        if workers <= 1:
            return [task() for task in todo]
        shares = [todo[i::workers] for i in range(workers)]
        # In the caller's context, which holds NumPy's error state.
        others = [
            _pool(workers).submit(copy_context().run, _call_all, share) for share in shares[1:]
        ]
        try:
            done = [_call_all(shares[0])]
        finally:
            # Also after an error: no thread may still write when the caller goes on.
            wait(others)
        done += [other.result() for other in others]
        return [done[i % workers][i // workers] for i in range(len(todo))]


def _call_all(tasks: list[Callable[[], T]]) -> list[T]:
    """Call the tasks and let them go: what they hold is free when the caller goes on."""
    done = []
    while tasks:
        done.append(tasks.pop(0)())
    return done


def ranges(count: int, elements: int, block: int = 1 << 18) -> list[tuple[int, int]]:
    """Ranges (low, high) that cover range(count), of about `block` elements each.

    `elements` is what all of `count` amounts to. The first is the largest; where nothing is to be
    covered, it is the one and empty.
    """
    size = max(1, block * count // max(elements, 1))
    if elements > SMALL:
        size = min(size, -(-count // 2))
    return [(low, min(low + size, count)) for low in range(0, count, size)] or [(0, 0)]
