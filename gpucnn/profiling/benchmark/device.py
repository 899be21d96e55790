"""The device that is measured: its timer, its free memory, and PyTorch on the same one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from gpucnn.errors import DeviceError
from gpucnn.ops.base import Ops
from gpucnn.profiling.benchmark.cases import drawer
from gpucnn.profiling.benchmark.timers import COLD, WARM, CupyTimer, HostTimer, Timer, TorchTimer
from gpucnn.profiling.devices import cuda_launcher

MEMINFO = Path("/proc/meminfo")


class Device:
    """`cpu` or `cuda`; DeviceError for the emulator, whose times are its own."""

    def __init__(self, ops: Ops) -> None:
        if ops.name == "emulator":
            raise DeviceError(
                "device 'emulator' has no times worth comparing, for it is slow in its own way:"
                " benchmark with --device cpu or cuda; what the emulator can tell of the kernels"
                " shows gpucnn profile CONFIG --device emulator"
            )
        launcher = cuda_launcher(ops)
        self.ops = ops
        self._cupy = None if launcher is None else launcher.cupy
        self._index = 0 if launcher is None else launcher.device.id
        self.caches = (WARM,) if launcher is None else (COLD, WARM)

    def timer(self) -> Timer:
        return HostTimer() if self._cupy is None else CupyTimer(self._cupy)

    def draw(self) -> Callable[..., Any]:
        """Arrays for one case; on a GPU the large ones are made there."""
        cupy = self._cupy
        if cupy is None:
            return drawer(self.ops, "float32")
        return drawer(self.ops, "float32", lambda a, shape: cupy.resize(cupy.asarray(a), shape))

    def free_bytes(self) -> int:
        """Memory that is to be had."""
        if self._cupy is not None:
            free, _ = self._cupy.cuda.runtime.memGetInfo()
            return int(free + self._cupy.get_default_memory_pool().free_bytes())
        lines = dict(line.split(":", 1) for line in MEMINFO.read_text().splitlines())
        return 1024 * int(lines["MemAvailable"].split()[0])

    def release(self, torch: Any) -> None:
        """Give what the pools keep back, so that the next case finds it, whoever asks."""
        if self._cupy is not None:
            self._cupy.get_default_memory_pool().free_all_blocks()
            if torch is not None:
                torch.cuda.empty_cache()

    @property
    def torch_device(self) -> str:
        return "cpu" if self._cupy is None else f"cuda:{self._index}"

    def torch_timer(self, torch: Any) -> Timer:
        """Opens PyTorch on this device; DeviceError where it sees no GPU."""
        if self._cupy is None:
            return HostTimer()
        if not torch.cuda.is_available():
            raise DeviceError(
                f"--against torch on {self.ops.name}: PyTorch {torch.__version__} sees no GPU:"
                " install one with CUDA (https://pytorch.org/get-started), or use --against none"
            )
        torch.cuda.set_device(self._index)
        return TorchTimer(torch)


def import_torch(against: str | None) -> Any:
    """PyTorch, where it is asked for or, with None, where it is installed; else None."""
    if against == "none":
        return None
    try:
        import torch
    except ImportError as error:
        if against is None:
            return None
        raise DeviceError(
            "--against torch needs PyTorch, which is not installed: pip install torch, or use"
            " --against none"
        ) from error
    return torch
