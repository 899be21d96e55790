"""CUDA graphs through CuPy's stream capture."""

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import Any

from gpucnn.errors import CaptureError, KernelError


class CudaGraph:
    """What `work` launches and copies, to be launched into CuPy's current stream as kernels are.

    `reported` turns CUDA's errors into the library's. Raises CaptureError where CUDA cannot
    capture it.
    """

    def __init__(
        self,
        cupy: Any,
        device: Any,
        work: Callable[[], None],
        reported: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._device, self._reported = device, reported
        errors = cupy.cuda.runtime.CUDARuntimeError, cupy.cuda.driver.CUDADriverError, KernelError
        # The stream that everything else goes to, CUDA's default one, cannot be captured.
        with device, cupy.cuda.Stream(non_blocking=True) as stream:
            try:
                stream.begin_capture()
                try:
                    work()
                except BaseException:
                    with suppress(cupy.cuda.runtime.CUDARuntimeError):
                        stream.end_capture()
                    raise
                self._graph = stream.end_capture()
            except errors as error:
                raise CaptureError(f"CUDA makes no graph of it: {error}") from error

    def launch(self) -> None:
        with self._device, self._reported():
            self._graph.launch()
