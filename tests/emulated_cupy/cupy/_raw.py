"""RawModule on the emulator."""

from functools import partial
from typing import Any

import numpy as np

from cupy._array import ndarray
from cupy._streams import submit
from gpucnn.runtime.emulator import EmulatorLauncher
from gpucnn.runtime.launch import Kernel


class RawModule:
    """Finds the kernel's file again in the #line that begins the assembled text."""

    def __init__(self, *, code: str, options: tuple[str, ...] = (), backend: str = "nvrtc") -> None:
        self._file = code.split('"kernels/', 1)[1].split(".cu", 1)[0]
        defined = [option[2:].split("=", 1) for option in options if option.startswith("-D")]
        self._macros = tuple((name, value) for name, value in defined)

    def get_function(self, name: str) -> "RawKernel":
        return RawKernel(Kernel(self._file, name, self._macros))


class RawKernel:
    """A kernel whose arguments are packed to bytes and unpacked by its parameters' types."""

    max_dynamic_shared_size_bytes = 48 * 1024
    num_regs = local_size_bytes = shared_size_bytes = 0

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._launcher = EmulatorLauncher()

    def __call__(self, grid: Any, block: Any, args: Any, *, shared_mem: int = 0) -> None:
        assert type(grid) is type(block) is tuple
        assert shared_mem <= self.max_dynamic_shared_size_bytes
        given = [self._unpacked(*pair) for pair in zip(self._kernel.parameters, args, strict=True)]
        submit(partial(self._launch, grid, block, shared_mem), given)

    def _launch(self, grid: Any, block: Any, shared_mem: int, *given: Any) -> None:
        self._launcher.launch(self._kernel, grid, block, given, shared_bytes=shared_mem)

    def _unpacked(self, parameter: Any, a: Any) -> Any:
        if parameter.pointer:
            if isinstance(a, ndarray):
                return a.host
            assert a.tobytes() == bytes(8), "a pointer that is neither an array nor null"
            return None
        dtype = self._kernel.dtype(parameter.type)
        if dtype is None:
            assert isinstance(a, np.ndarray), type(a)
            assert a.size == 1
            return a.copy()
        assert isinstance(a, np.generic), type(a)
        return np.frombuffer(a.tobytes(), dtype)[0]
