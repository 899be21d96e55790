"""Peak memory by layer on the emulator: the bytes of the arrays that a GPU would hold."""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gpucnn.runtime.emulator import EmulatorLauncher


class CountedArrays:
    """An array module that counts the bytes of its arrays that are still alive, from `base` on.

    Exact, but for what a GPU's memory pool rounds up.
    """

    def __init__(self, xp: Any, base: int):
        self._xp = xp
        self._held = self._peak = base
        self._known: set[int] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._xp, name)

    def empty(self, shape: Any, dtype: Any) -> Any:
        return self._counted(self._xp.empty(shape, dtype))

    def zeros(self, shape: Any, dtype: Any) -> Any:
        return self._counted(self._xp.zeros(shape, dtype))

    def asarray(self, a: Any, dtype: Any = None, order: str = "C") -> Any:
        """A host's array counts as well: a GPU would have a copy of it."""
        return self._counted(self._xp.asarray(a, dtype=dtype, order=order))

    def _counted(self, a: Any) -> Any:
        if id(a) not in self._known:
            self._known.add(id(a))
            self._held += a.nbytes
            self._peak = max(self._peak, self._held)
            weakref.finalize(a, self._released, id(a), a.nbytes)
        return a

    def _released(self, known: int, nbytes: int) -> None:
        self._known.discard(known)
        self._held -= nbytes

    def start(self) -> None:
        """Nothing to start: arrays are counted from the beginning."""

    def stop(self) -> None:
        """Nothing to stop."""

    def read(self) -> tuple[int, int]:
        """(held now, most since the last read)."""
        peak, self._peak = self._peak, self._held
        return self._held, peak


@contextmanager
def counted_arrays(launcher: EmulatorLauncher, base: int) -> Iterator[CountedArrays]:
    """Count the arrays that are made inside, beside `base` bytes that were there before."""
    plain = launcher.xp
    launcher.xp = counted = CountedArrays(plain, base)
    try:
        yield counted
    finally:
        launcher.xp = plain
