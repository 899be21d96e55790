"""A stand-in for cupy: NumPy arrays for device memory; records compilations and launches."""

from types import SimpleNamespace
from typing import Any

import numpy as np


class CUDARuntimeError(RuntimeError):
    status = 1


class CUDADriverError(RuntimeError):
    pass


class OutOfMemoryError(MemoryError):
    pass


class CompileException(Exception):
    def get_message(self) -> str:
        return str(self.args[0])


class FakeCupy:
    """What gpucnn/runtime/cuda.py uses of the module cupy."""

    def __init__(self, *, driver: int = 13000, built: int = 13000, devices: int = 2) -> None:
        self.modules: list[tuple[str, tuple[str, ...]]] = []
        self.launches: list[dict[str, Any]] = []
        self.used: list[int] = []
        self.active: list[int] = [0]
        self.fail: Exception | None = None
        """Raised by the next call that reaches the device."""
        fake = self

        class Array(np.ndarray):
            device_id = 0
            __cuda_array_interface__ = None

            @property
            def device(self) -> Any:
                return SimpleNamespace(id=self.device_id)

            def get(self) -> np.ndarray:
                fake._touch()
                return np.array(self)

        class Device:
            compute_capability = "90"
            attributes = {"MaxSharedMemoryPerBlockOptin": 100 * 1024}  # noqa: RUF012
            mem_info = (2**30, 8 * 2**30)

            def __init__(self, index: int) -> None:
                self.id = index

            def use(self) -> None:
                fake.used.append(self.id)

            def __enter__(self) -> None:
                fake.active.append(self.id)

            def __exit__(self, *_: object) -> None:
                fake.active.pop()

            def synchronize(self) -> None:
                fake._touch()

        class RawModule:
            def __init__(self, *, code: str, options: tuple[str, ...], backend: str) -> None:
                assert backend == "nvrtc"
                self.text = code, options

            def get_function(self, symbol: str) -> "Function":
                # CuPy compiles at the first symbol, and keeps modules by text and options.
                fake._touch()
                if self.text not in fake.modules:
                    fake.modules.append(self.text)
                return Function(symbol)

        class Function:
            max_dynamic_shared_size_bytes = 48 * 1024

            def __init__(self, symbol: str) -> None:
                self.symbol = symbol

            def __call__(self, grid: Any, block: Any, args: Any, *, shared_mem: int) -> None:
                fake._touch()
                assert type(grid) is type(block) is type(args) is tuple
                for a in args:
                    assert isinstance(a, (Array, np.generic)) or a.size == 1, type(a)
                assert shared_mem <= self.max_dynamic_shared_size_bytes
                fake.launches.append(
                    {"symbol": self.symbol, "grid": grid, "block": block, "args": args,
                     "shared": shared_mem, "device": fake.active[-1]}
                )  # fmt: skip

        self.ndarray, self.RawModule = Array, RawModule
        version = {"driverGetVersion": driver, "runtimeGetVersion": built}
        self.cuda = SimpleNamespace(
            Device=Device,
            runtime=SimpleNamespace(
                CUDARuntimeError=CUDARuntimeError,
                getDeviceCount=lambda: fake._count(devices),
                **{name: lambda value=value: value for name, value in version.items()},
            ),
            driver=SimpleNamespace(CUDADriverError=CUDADriverError),
            memory=SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
            compiler=SimpleNamespace(CompileException=CompileException),
        )

    def _count(self, devices: int) -> int:
        self._touch()
        if not devices:
            error = CUDARuntimeError("cudaErrorNoDevice: no CUDA-capable device is detected")
            error.status = 100
            raise error
        return devices

    def _touch(self) -> None:
        if self.fail is not None:
            error, self.fail = self.fail, None
            raise error

    def _array(self, a: np.ndarray) -> Any:
        self._touch()
        out = a.view(self.ndarray)
        out.device_id = self.active[-1]
        return out

    def empty(self, shape: Any, dtype: Any) -> Any:
        return self._array(np.empty(shape, dtype))

    def zeros(self, shape: Any, dtype: Any) -> Any:
        return self._array(np.zeros(shape, dtype))

    def asarray(self, a: Any, dtype: Any = None, order: str = "C") -> Any:
        return self._array(np.array(a, dtype, order=order))

    def get_default_memory_pool(self) -> Any:
        return SimpleNamespace(total_bytes=lambda: 3 * 2**30)
