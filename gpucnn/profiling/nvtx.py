"""NVTX ranges by layer, pass, method and kernel: nsys and ncu then show the network."""

import re
from typing import Any

from gpucnn.errors import ConfigError
from gpucnn.ops.base import Ops
from gpucnn.profiling.devices import cuda_launcher
from gpucnn.profiling.spans import Frame

STEP = "step"
"""The range around everything else; every step's is named alike, so that a filter finds them."""

_LAYER = re.compile(r"(\S+) (\S+) (forward|backward)")


def range_name(frame: Frame) -> str:
    """A layer's is "model.layers.0 conv2d forward"; a method's and kernel's the contract's name."""
    return f"{frame.layer} {frame.name} {frame.phase}" if frame.kind == "layer" else frame.name


def layer_of(name: str) -> tuple[str, str, str] | None:
    """(path, layer, pass) of a layer's range; None for any other."""
    match = _LAYER.fullmatch(name)
    return (match[1], match[2], match[3]) if match else None


class NvtxRanges:
    """An observer that opens a range where a frame begins and closes it where that ends.

    `nvtx` is the module cupy.cuda.nvtx. Ranges are the host's: a tool finds the kernels that were
    launched inside of each.
    """

    def __init__(self, nvtx: Any):
        self._nvtx = nvtx

    def enter(self, frame: Frame) -> None:
        self._nvtx.RangePush(range_name(frame))

    def exit(self, frame: Frame) -> None:
        self._nvtx.RangePop()


def nvtx_ranges(ops: Ops) -> NvtxRanges:
    """The observer for the `cuda` device; ConfigError for any other."""
    launcher = cuda_launcher(ops)
    if launcher is None:
        raise ConfigError(
            f"--nvtx marks ranges for NVIDIA's profilers, and the device {ops.name} runs nothing"
            " that they see: use it with --device cuda"
        )
    return NvtxRanges(launcher.cupy.cuda.nvtx)
