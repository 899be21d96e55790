"""Batches on their way to a CUDA device while it works on an earlier one.

They go from pinned memory, through a stream of their own: only such copies run beside other work.
What must not be overtaken is held back by events, between the streams on the device:

- the work on a batch, until its copy is done: by `copied`, in the stream of the work;
- a copy into a slot, until the work on the batch before it is: by `read`, in that of the copies;
- the host that writes a batch into a slot, until the copy before it is: by `copied`, on the host;
- the way of the slots' memory back to CuPy's pools, until all copies are: by `close`, on the host.

The stream of the work is the current one of the thread that makes the slots and takes from them:
the pool gives their memory to whatever comes next in that stream.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from gpucnn.runtime.cuda import CudaLauncher


class Slot:
    """Memory for one batch, on the host and on the device, and how far it has got."""

    def __init__(self, launcher: CudaLauncher, size: int) -> None:
        cupy = launcher.cupy
        # CuPy's piece of pinned memory may be larger.
        self.pinned: Any = np.ndarray((size,), np.uint8, cupy.cuda.alloc_pinned_memory(size))
        self.memory = launcher.xp.empty((size,), "uint8")
        # Its waits on the host leave the processor to whoever prepares batches.
        self.copied = cupy.cuda.Event(block=True, disable_timing=True)
        self.read = cupy.cuda.Event(disable_timing=True)


class Staged(NamedTuple):
    """An array of the device that a copy is on its way to."""

    array: Any
    slot: Slot


class Staging:
    """`slots` places for arrays of up to `size` bytes, beside the work of a device.

    One thread may `put` while another, which made this, takes; every array is taken, and left
    again, before `slots` more are put. KernelError where CUDA fails, DeviceError where the device
    has too little memory.
    """

    def __init__(self, launcher: CudaLauncher, *, slots: int, size: int) -> None:
        self._cupy = launcher.cupy
        self._on_device = partial(launcher.reported, "copying batches")
        with self._on_device():
            self._copies = self._cupy.cuda.Stream(non_blocking=True)
            # Kept here for `close`: what was put may be dropped, and never taken.
            self._slots = tuple(Slot(launcher, size) for _ in range(slots))
            for slot in self._slots:
                # What had this memory before may have work under way.
                self._cupy.cuda.get_current_stream().record(slot.read)
        self._free = deque(self._slots)

    def put(self, host: Any) -> Staged:
        """Start to copy a NumPy array, which is the caller's again at once."""
        slot = self._free.popleft()
        with self._on_device():
            slot.copied.synchronize()
            source, array = _as(slot.pinned, host), _as(slot.memory, host)
            np.copyto(source, host)
            self._copies.wait_event(slot.read)
            array.set(source, stream=self._copies)
            self._copies.record(slot.copied)
        return Staged(array, slot)

    @contextmanager
    def taken(self, staged: Staged) -> Iterator[Any]:
        """The array, for work that is launched into the current stream before this is left."""
        with self._on_device():
            self._cupy.cuda.get_current_stream().wait_event(staged.slot.copied)
        try:
            yield staged.array
        finally:
            with self._on_device():
                self._cupy.cuda.get_current_stream().record(staged.slot.read)
            self._free.append(staged.slot)

    def close(self) -> None:
        """Wait for the copies under way; nothing may be put any more."""
        with self._on_device():
            self._copies.synchronize()


def _as(memory: Any, like: Any) -> Any:
    """The first bytes of `memory` as an array like this one."""
    return memory[: like.nbytes].view(like.dtype).reshape(like.shape)
