"""The `emulator` device: the kernels' own .cu files, compiled by g++ and run on the CPU.

For tests and for understanding a kernel; slow, and never a fallback. See docs/emulator.md.
"""

import ctypes
import dataclasses
import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from gpucnn.errors import KernelError
from gpucnn.runtime.emulator_build import build_kernel, build_runtime
from gpucnn.runtime.launch import Dim, Kernel, Launcher

# The scheduler's state is the library's own: one launch at a time.
_ONE_LAUNCH = threading.Lock()


class EmulatorLauncher(Launcher):
    """Runs kernels on NumPy arrays, one block at a time, its threads as fibers.

    `folder`: another folder of .cu files than the package's. `checked`: check every access.
    `block_order`: a seed that shuffles the blocks of each launch, None for their natural order.
    """

    name = "emulator"
    xp = np

    def __init__(
        self,
        folder: Path | None = None,
        *,
        checked: bool = False,
        block_order: int | None = None,
    ) -> None:
        self.folder = folder
        self.checked = checked
        self.block_order = block_order

    def synchronize(self) -> None:
        """A launch has finished when it returns."""

    def launch(
        self, kernel: Kernel, grid: Dim, block: Dim, args: Sequence[Any], *, shared_bytes: int = 0
    ) -> None:
        if self.folder is not None and kernel.folder is None:
            kernel = dataclasses.replace(kernel, folder=self.folder)
        super().launch(kernel, grid, block, args, shared_bytes=shared_bytes)

    def _launch(
        self, kernel: Kernel, grid: Dim, block: Dim, args: Sequence[Any], shared_bytes: int
    ) -> None:
        library = load(kernel.file, kernel.source, kernel.macros, self.checked)
        error = self._run(library, kernel, grid, block, args, shared_bytes)
        if error is not None:
            raise KernelError(f"{kernel.symbol}: {error}")

    def _run(
        self,
        library: ctypes.CDLL,
        kernel: Kernel,
        grid: Dim,
        block: Dim,
        args: Sequence[Any],
        shared_bytes: int,
    ) -> str | None:
        """Run the kernel; the text of a barrier's or warp operation's failure, or None."""
        held = [_address(a) for a in args]
        pointers = (ctypes.c_void_p * len(held))(*(ctypes.addressof(value) for value in held))
        with _ONE_LAUNCH:
            error = runtime().gpucnn_run(
                ctypes.byref(ctypes.c_char.in_dll(library, f"gpucnn_image_{kernel.symbol}")),
                pointers,
                (ctypes.c_uint * 3)(*grid),
                (ctypes.c_uint * 3)(*block),
                ctypes.c_size_t(shared_bytes),
                int(kernel.scalar == "float32"),
                self._order(grid),
            )
        return None if error is None else error.decode()

    def _order(self, grid: Dim) -> Any:
        if self.block_order is None:
            return None
        order = np.random.default_rng(self.block_order).permutation(grid[0] * grid[1] * grid[2])
        return order.astype(np.uint32).ctypes.data_as(ctypes.c_void_p)


def _address(a: Any) -> Any:
    """A ctypes object that holds the argument's bytes."""
    if a is None:
        return ctypes.c_void_p(None)
    if isinstance(a, np.ndarray) and a.dtype.names is None:
        return ctypes.c_void_p(a.ctypes.data)
    data = a.tobytes()
    return ctypes.create_string_buffer(data, len(data))


@cache
def runtime() -> ctypes.CDLL:
    """The library of the scheduler and the checker."""
    library = ctypes.CDLL(str(build_runtime()))
    library.gpucnn_run.restype = ctypes.c_char_p
    return library


@cache
def load(file: str, source: str, macros: tuple[tuple[str, str], ...], checked: bool) -> ctypes.CDLL:
    """The library of a .cu file's text, built where it is not there yet."""
    runtime()
    return ctypes.CDLL(str(build_kernel(file, source, macros, checked=checked)))
