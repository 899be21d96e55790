"""Devices, events and errors of the CuPy without a GPU."""

import ctypes
from types import SimpleNamespace
from typing import Any

from cupy._streams import (
    CUDARuntimeError,
    Event,
    Graph,
    Stream,
    get_current_stream,
    submit,
    synchronize,
)

__all__ = ["Event", "Graph", "Stream", "get_current_stream"]


class CUDADriverError(RuntimeError):
    status = 1


class OutOfMemoryError(MemoryError):
    pass


class CompileException(Exception):
    def get_message(self) -> str:
        return str(self.args[0])


class Device:
    compute_capability = "90"
    attributes = {"MaxSharedMemoryPerBlockOptin": 227 * 1024, "ComputeMode": 0}  # noqa: RUF012
    mem_info = (2**36, 2**36)

    def __init__(self, index: int = 0) -> None:
        self.id = index

    def use(self) -> "Device":
        return self

    def __enter__(self) -> "Device":
        return self

    def __exit__(self, *_: object) -> None:
        """Device 0 stays."""

    def synchronize(self) -> None:
        synchronize()


class UnownedMemory:
    def __init__(self, ptr: int, size: int, owner: Any, device_id: int) -> None:
        # Every view of an array over the bytes keeps them, and so the owner.
        self.bytes = (ctypes.c_ubyte * size).from_address(ptr)
        self.bytes.owner = owner


class MemoryPointer:
    def __init__(self, mem: UnownedMemory, offset: int) -> None:
        assert offset == 0
        self.mem = mem

    def memset_async(self, value: int, size: int) -> None:
        submit(ctypes.memset, (self.mem.bytes, value, size))


def alloc(size: int) -> MemoryPointer:
    """Of the host's memory."""
    buffer = ctypes.create_string_buffer(size)
    return MemoryPointer(UnownedMemory(ctypes.addressof(buffer), size, buffer, 0), 0)


def alloc_pinned_memory(size: int) -> Any:
    """Of the host's memory; what reads it after it is gone has been overtaken."""
    return (ctypes.c_ubyte * size).from_buffer(bytearray(size))


def get_elapsed_time(begin: Event, end: Event) -> float:
    return (end.seconds - begin.seconds) * 1e3


def set_allocator(allocator: Any) -> None:
    """Host memory has none."""


def is_available() -> bool:
    return True


def _properties(index: int) -> dict[str, Any]:
    return {
        "name": b"Emulated GPU", "major": 9, "minor": 0, "multiProcessorCount": 1,
        "totalGlobalMem": 2**36, "l2CacheSize": 2**20,
    }  # fmt: skip


runtime = SimpleNamespace(
    CUDARuntimeError=CUDARuntimeError,
    driverGetVersion=lambda: 13000,
    runtimeGetVersion=lambda: 13000,
    getDeviceCount=lambda: 1,
    getDeviceProperties=_properties,
    memGetInfo=lambda: Device.mem_info,
)
driver = SimpleNamespace(CUDADriverError=CUDADriverError)
memory = SimpleNamespace(OutOfMemoryError=OutOfMemoryError)
compiler = SimpleNamespace(CompileException=CompileException)
nvrtc = SimpleNamespace(getVersion=lambda: (13, 0))
pool = SimpleNamespace(total_bytes=lambda: 0, free_bytes=lambda: 0, free_all_blocks=lambda: None)
