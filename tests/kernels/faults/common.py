"""Faults in the reductions that all kernels share."""

from gpucnn.ops.base import Ops
from tests.kernels.faults import Fault
from tests.kernels.faults.normalization import train, two_chunks
from tests.kernels.test_pooling import LARGE
from tests.ops.harness import call


def whole_planes(ops: Ops) -> None:
    """Sums of ones, each by a warp: exact in any order."""
    shape, kw = LARGE["a_warp_each"]
    ones = ops.asarray([[[[1.0] * shape[3]] * shape[2]] * shape[1]] * shape[0], "float32")
    assert (call(ops, "avg_pool2d_forward", ones, **kw) == 1).all()


COMMON = "common.cuh"
FAULTS = [
    Fault(COMMON, "half a warp", "int offset = 16", "int offset = 8", whole_planes),
    Fault(COMMON, "no barrier before scratch is written again",
          "value = warp_sum(value);\n    __syncthreads();", "value = warp_sum(value);", two_chunks,
          "racecheck"),
    Fault(COMMON, "no barrier before scratch is read",
          "scratch[warp] = value;\n    __syncthreads();", "scratch[warp] = value;", train,
          "racecheck"),
    Fault(COMMON, "a warp too many", "threadIdx.x < warps ?", "threadIdx.x <= warps ?", train,
          "initcheck"),
    Fault(COMMON, "the first warp's sum alone", "warp == 0 ? warp_sum(value) : value", "value",
          train),
    Fault(COMMON, "lanes that stay out of a shuffle", "return warp == 0 ? warp_sum(value) : value;",
          "return threadIdx.x < warps ? warp_sum(value) : value;", train, "synccheck"),
]  # fmt: skip
