"""The stand-in for cupy with what a profile asks of it: events, a memory hook, attributes."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from tests.runtime.fake_cupy import FakeCupy


class ProfiledCupy(FakeCupy):
    """`clock` is the device's time in milliseconds; each event is recorded at it."""

    __version__ = "14.0.0"

    def __init__(self) -> None:
        super().__init__()
        self.clock = 0.0
        self.synchronized = 0
        self.pooled = 0
        self.hooks: list[Any] = []
        fake, cuda = self, self.cuda

        class Event:
            def record(self) -> None:
                self.at = fake.clock

        class MemoryHook:
            def __enter__(self) -> None:
                fake.hooks.append(self)

            def __exit__(self, *_: object) -> None:
                fake.hooks.remove(self)

        class Stream:
            def synchronize(self) -> None:
                fake.synchronized += 1

        def elapsed(start: Event, end: Event) -> float:
            return end.at - start.at

        cuda.Event, cuda.MemoryHook = Event, MemoryHook
        cuda.get_elapsed_time, cuda.get_current_stream = elapsed, Stream
        cuda.runtime.getDeviceProperties = lambda index: {"name": f"NVIDIA Fake {index}".encode()}
        get_function = self.RawModule.get_function

        def described(module: Any, symbol: str) -> Any:
            function = get_function(module, symbol)
            function.num_regs, function.shared_size_bytes = 40, 1024
            return function

        self.RawModule.get_function = described

    def allocate(self, size: int) -> None:
        """What the pool does for an array."""
        self.pooled += size
        for hook in self.hooks:
            hook.malloc_postprocess(size=size)

    def get_default_memory_pool(self) -> Any:
        return SimpleNamespace(used_bytes=lambda: self.pooled, total_bytes=lambda: self.pooled)

    def ones(self, shape: Any, dtype: Any) -> Any:
        return self._array(np.ones(shape, dtype))

    def copyto(self, b: Any, a: Any) -> None:
        self.clock += 2.0

    def matmul(self, a: Any, b: Any, out: Any) -> None:
        self.clock += 4.0
