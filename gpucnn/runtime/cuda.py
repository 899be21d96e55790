"""The `cuda` device: kernels compiled by NVRTC and launched through CuPy.

The only module that imports cupy, and only when a device is opened. Where there is no GPU it is
tested against a stand-in for cupy that records what would be compiled and launched
(tests/runtime/fake_cupy.py), and CuPy itself as far as it goes without a driver: names, options,
compilation, packed arguments (tests/runtime/test_cupy.py). What the driver makes of it needs a GPU.

Launches go to CuPy's current stream, as its allocations and copies do, so they are in order.
"""

import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from math import prod
from typing import Any

import numpy as np

from gpucnn.errors import DeviceError, KernelError
from gpucnn.runtime.cuda_checks import (
    check_driver,
    check_index,
    check_toolkit,
    installed,
    keep_cache_writable,
    keep_in_memory,
    open_device,
)
from gpucnn.runtime.cuda_graph import CudaGraph
from gpucnn.runtime.launch import Dim, Kernel, Launcher
from gpucnn.runtime.memory import CudaMemory

OPTIONS = ("-std=c++17",)
"""NVRTC's options besides the macros; CuPy adds -arch of the device and -ftz=true."""

DLPACK_CUDA = 2
"""kDLCUDA of DLPack's device types."""

OUT_OF_MEMORY = 2
"""cudaErrorMemoryAllocation."""

DEFAULT_SHARED_BYTES = 48 * 1024
"""Beyond it a kernel must be told how much dynamic shared memory to expect."""


def options_of(kernel: Kernel) -> tuple[str, ...]:
    """NVRTC's options for a kernel, as they are handed to CuPy."""
    return (*OPTIONS, *(f"-D{name}={value}" for name, value in kernel.macros))


class CudaLauncher(Launcher):
    """Compiles and launches on CUDA device `index`; None is device 0, named "cuda".

    Raises DeviceError, with the command that helps, where CuPy, driver or device are missing or do
    not fit.
    """

    def __init__(self, index: int | None = None) -> None:
        self.name = "cuda" if index is None else f"cuda:{index}"
        try:
            self._open(index or 0)
        except DeviceError as error:
            raise DeviceError(
                f"device {self.name!r} is not available: {error}; or use --device cpu"
            ) from error
        self.xp = _Arrays(self._cupy, self.device, self.name)
        self.memory = CudaMemory(
            self._cupy, self.xp, self.device.id, partial(self.reported, "copying a step's outcome")
        )
        self._modules: dict[tuple[str, tuple[str, ...]], Any] = {}
        self._functions: dict[Kernel, Any] = {}

    def _open(self, index: int) -> None:
        keep_cache_writable()
        self._cupy = _import_cupy()
        check_driver(self._cupy)
        check_index(self._cupy, index)
        self.dlpack_device = (DLPACK_CUDA, index)
        self.device = open_device(self._cupy, index)
        self.arch = f"sm_{self.device.compute_capability}"
        self.copies_asynchronously = int(self.device.compute_capability) >= 80
        self.max_shared_bytes = int(self.device.attributes["MaxSharedMemoryPerBlockOptin"])
        check_toolkit(self._cupy, self.device, self.arch)

    @property
    def cupy(self) -> Any:
        """The module, for what measures the device: events, memory hooks, ranges."""
        return self._cupy

    def is_array(self, a: Any) -> bool:
        return isinstance(a, self._cupy.ndarray) and a.device.id == self.device.id

    def from_dlpack(self, a: Any) -> Any:
        with self.device, _reported(self._cupy, f"device {self.name!r} ({self.arch})"):
            return self._cupy.from_dlpack(a)

    def synchronize(self) -> None:
        with self.device, _reported(self._cupy, f"device {self.name!r} ({self.arch})"):
            self.device.synchronize()

    def to_numpy(self, a: Any) -> Any:
        # A copy waits for the launches before it, and brings their errors.
        with _reported(self._cupy, f"copying from device {self.name!r} ({self.arch})"):
            return a.get() if isinstance(a, self._cupy.ndarray) else np.asarray(a)

    def compile(self, kernel: Kernel) -> Any:
        """The kernel's function, compiled once a process and kept by CuPy on disk."""
        if kernel not in self._functions:
            with self.device, self._compiling(kernel):
                try:
                    function = self._function(kernel)
                except OSError as error:
                    keep_in_memory("CuPy's cache folder or the folder of temporary files", error)
                    function = self._function(kernel)
            self._functions[kernel] = function
        return self._functions[kernel]

    def _function(self, kernel: Kernel) -> Any:
        options = options_of(kernel)
        key = (kernel.source, options)
        if key not in self._modules:
            self._modules[key] = self._cupy.RawModule(
                code=kernel.source, options=options, backend="nvrtc"
            )
        # CuPy compiles here, and finds the module of an earlier symbol in its own table.
        return self._modules[key].get_function(kernel.symbol)

    def _launch(
        self, kernel: Kernel, grid: Dim, block: Dim, args: Sequence[Any], shared_bytes: int
    ) -> None:
        function = self.compile(kernel)
        what = (
            f"kernels/{kernel.file}.cu: {kernel.symbol} on {self.name} ({self.arch}),"
            f" grid {grid}, block {block}, {shared_bytes} bytes of shared memory"
        )
        with self.device, _reported(self._cupy, what):
            if shared_bytes > DEFAULT_SHARED_BYTES:
                function.max_dynamic_shared_size_bytes = shared_bytes
            function(grid, block, packed(args), shared_mem=shared_bytes)

    def _capture(self, work: Callable[[], None]) -> CudaGraph:
        what = f"a CUDA graph on {self.name} ({self.arch})"
        return CudaGraph(self._cupy, self.device, work, partial(_reported, self._cupy, what))

    @contextmanager
    def reported(self, what: str) -> Iterator[None]:
        """Inside, the device is the current one, and CUDA's errors are KernelError."""
        with self.device, _reported(self._cupy, f"{what} on {self.name} ({self.arch})"):
            yield

    @contextmanager
    def _compiling(self, kernel: Kernel) -> Iterator[None]:
        try:
            with _reported(self._cupy, f"kernels/{kernel.file}.cu: {kernel.symbol}"):
                yield
        except self._cupy.cuda.compiler.CompileException as error:
            raise KernelError(
                f"NVRTC does not compile kernels/{kernel.file}.cu for {self.arch} with"
                f" {dict(kernel.macros)}: {str(error.get_message()).strip()}; reinstall gpucnn if"
                " you have not changed the kernels"
            ) from error


def packed(args: Sequence[Any]) -> tuple[Any, ...]:
    """The arguments as CuPy copies them: arrays, NumPy numbers, structs of size 1."""
    return tuple(np.uint64(0) if a is None else a for a in args)


class _Arrays:
    """The array functions of cupy that the operations use, on one device, with its own errors."""

    def __init__(self, cupy: Any, device: Any, name: str) -> None:
        self.ndarray = cupy.ndarray
        self._cupy, self._device, self._name = cupy, device, name

    def empty(self, shape: Sequence[int], dtype: Any) -> Any:
        with self._allocating(shape, dtype):
            return self._cupy.empty(shape, dtype)

    def zeros(self, shape: Sequence[int], dtype: Any) -> Any:
        with self._allocating(shape, dtype):
            return self._cupy.zeros(shape, dtype)

    def asarray(self, a: Any, dtype: Any = None, order: str = "C") -> Any:
        if not hasattr(a, "__cuda_array_interface__"):
            a = np.asarray(a, dtype)
        elif not isinstance(a, self._cupy.ndarray):
            # PyTorch's or JAX's, on a GPU: a view of it.
            with self._device, _reported(self._cupy, f"device {self._name!r}"):
                a = self._cupy.asarray(a)
        with self._allocating(a.shape, dtype or a.dtype):
            return self._cupy.asarray(a, dtype=dtype, order=order)

    @contextmanager
    def _allocating(self, shape: Sequence[int], dtype: Any) -> Iterator[None]:
        cuda = self._cupy.cuda
        try:
            with self._device:
                yield
        except (cuda.memory.OutOfMemoryError, cuda.runtime.CUDARuntimeError) as error:
            # CUDA's own error, where CuPy's pool is switched off, and every other error of CUDA.
            if getattr(error, "status", OUT_OF_MEMORY) != OUT_OF_MEMORY:
                with _reported(self._cupy, f"device {self._name!r}"):
                    raise
            wanted = prod(shape) * np.dtype(dtype).itemsize
            held = self._cupy.get_default_memory_pool().total_bytes()
            free, total = self._device.mem_info
            raise DeviceError(
                f"out of memory on {self._name}: an array of shape {tuple(shape)} wants"
                f" {_size(wanted)}; gpucnn holds {_size(held)}, and {_size(free)} of"
                f" {_size(total)} are free: lower data.batch_size, or end other programs that use"
                " the GPU (nvidia-smi lists them)"
            ) from error


def _size(count: int) -> str:
    return f"{count / 2**30:.2f} GiB" if count >= 2**29 else f"{count / 2**20:.1f} MiB"


def _import_cupy() -> Any:
    distributions = installed()
    if len(distributions) > 1:
        names = " ".join(distributions)
        raise DeviceError(
            f"several CuPy distributions are installed and overwrite each other's files ({names}):"
            f' pip uninstall -y {names} && pip install "gpucnn[cuda13]"'
        )
    try:
        return importlib.import_module("cupy")
    except ModuleNotFoundError as error:
        if error.name != "cupy":
            raise _broken(distributions, error) from error
        raise DeviceError(
            'CuPy is not installed: pip install "gpucnn[cuda13]"'
            ' (with a driver for CUDA 12: "gpucnn[cuda12]")'
        ) from None
    except ImportError as error:
        raise _broken(distributions, error) from error


@contextmanager
def _reported(cupy: Any, what: str) -> Iterator[None]:
    """Turn CUDA's errors into KernelError. An error may stem from an earlier launch."""
    try:
        yield
    except (cupy.cuda.runtime.CUDARuntimeError, cupy.cuda.driver.CUDADriverError) as error:
        raise KernelError(
            f"{what}: {error}; the cause may be an earlier launch: run with CUDA_LAUNCH_BLOCKING=1,"
            " or under compute-sanitizer, to find it"
        ) from error


def _broken(distributions: dict[str, str], error: ImportError) -> DeviceError:
    names = " ".join(distributions) or "cupy"
    cause = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return DeviceError(
        f"CuPy ({names}) does not import: {cause}: pip uninstall -y {names} &&"
        ' pip install "gpucnn[cuda13]"'
    )
