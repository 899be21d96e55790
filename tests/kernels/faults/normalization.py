"""Faults of batch normalisation."""

from gpucnn.ops.base import Ops
from gpucnn.ops.kernel_ops import KernelOps
from tests.kernels.devices import PoisonedOps
from tests.kernels.faults import Fault
from tests.kernels.test_normalization import (
    check_fused,
    check_merge,
    check_statistics_are_constant,
)
from tests.ops.test_normalization import check_batch_norm


def poisoned(ops: Ops) -> PoisonedOps:
    """The same device, its fresh arrays poisoned."""
    assert isinstance(ops, KernelOps)
    return PoisonedOps(ops.launcher)


def train(ops: Ops) -> None:
    for shape in ((3, 2, 5, 3), (5, 2, 2, 4), (2, 1, 19, 17)):
        check_batch_norm(poisoned(ops), shape, "float64", train=True)


def evaluate(ops: Ops) -> None:
    check_batch_norm(poisoned(ops), (3, 2, 5, 3), "float64", train=False)
    check_statistics_are_constant(poisoned(ops), "float64")


def chunks(ops: Ops) -> None:
    check_merge(poisoned(ops))


def two_chunks(ops: Ops) -> None:
    check_batch_norm(poisoned(ops), (2, 2, 46, 45), "float64", train=True)


def fused(ops: Ops) -> None:
    check_fused(poisoned(ops))


FORWARD, BACKWARD, SHARED = "batch_norm2d_forward", "batch_norm2d_backward", "batch_norm2d.cuh"
FAULTS = [
    Fault(FORWARD, "the unbiased variance normalises", "sqrt(square / values + eps)",
          "sqrt(square / (values - 1) + eps)", train),
    Fault(FORWARD, "the biased variance runs", "(square / (values - 1))", "(square / values)",
          train),
    Fault(FORWARD, "eps left out", "sqrt(square / values + eps)", "sqrt(square / values)", train),
    Fault(FORWARD, "momentum upside down", "kept = scalar_t(1) - momentum", "kept = momentum",
          train),
    Fault(FORWARD, "the distance of the chunks' means left out",
          " + distance * distance * chunk_size(s, values)", "", chunks),
    Fault(FORWARD, "a short chunk weighs as a whole one",
          "means[first + s] * chunk_size(s, values)",
          "means[first + s] * kChunk", chunks),
    Fault(FORWARD, "places past the end in the variance", "? value[k] - mean : scalar_t(0)",
          "? value[k] - mean : value[k] - mean", train),
    Fault(FORWARD, "places past the end in the mean", "? x[at.address] : scalar_t(0)",
          "? x[at.address] : x[0]", train),
    Fault(FORWARD, "the next channel's scale", "const int c = i / packs_of_run % channels",
          "const int c = (i / packs_of_run + 1) % channels", train),
    Fault(FORWARD, "the running mean is not kept", "mean[channel] = running_mean[channel]",
          "mean[channel] = 0", evaluate),
    Fault(BACKWARD, "products with x, not x - mean", "given * (value - centre)",
          "given * value", train),
    Fault(BACKWARD, "statistics as constants in training", "if (train) {", "if (false) {", train),
    Fault(BACKWARD, "statistics that move in evaluation", "if (train) {", "if (true) {", evaluate),
    Fault(BACKWARD, "dgamma not normalised",
          "product = block_sum(product, scratch) * inverse_std[channel]",
          "product = block_sum(product, scratch)", train),
    Fault(BACKWARD, "the sum for the mean", "shift[channel] = sum / values", "shift[channel] = sum",
          train),
    Fault(BACKWARD, "one chunk alone", "sum += deltas[first + s]", "sum = deltas[first]",
          two_chunks),
    Fault(BACKWARD, "places past the end", "if (int(threadIdx.x) + k * THREADS < count)",
          "if (true)",
          train, "memcheck"),
    Fault(SHARED, "a total read before it is there",
          "scratch[32] = value;\n    __syncthreads();", "scratch[32] = value;", train, "initcheck"),
    Fault(FORWARD, "all chunks in one place", "means[blockIdx.x] = mean", "means[channel] = mean",
          two_chunks, "racecheck"),
    Fault(FORWARD, "sums not begun at 0",
          "scalar_t value[VALUES], sum = 0, square = 0;", "scalar_t value[VALUES], sum, square;",
          train),
    Fault(FORWARD, "a channel too many", "channel >= uint32(channels)",
          "channel > uint32(channels)", evaluate, "memcheck"),
    Fault(FORWARD, "rows that are no whole vectors", "if (pixels % kVector == 0 && ", "if (",
          train),
    Fault(BACKWARD, "all chunks in one place", "deltas[blockIdx.x] = sum",
          "deltas[channel] = sum", two_chunks, "racecheck"),
    Fault(BACKWARD, "a chunk too many", "s < splits; s += blockDim.x",
          "s <= splits; s += blockDim.x", two_chunks, "memcheck"),
    Fault(BACKWARD, "the next channel's mean", "centre = mean[c];",
          "centre = mean[(c + 1) % channels];", train),
    Fault(SHARED, "the walk stays in its image", "at.address += (channels - 1) * pixels;", "",
          two_chunks),
    Fault(SHARED, "chunks all of one size", "min(kChunk, values - split * kChunk)", "kChunk",
          train, "memcheck"),
    Fault(FORWARD, "the residual of the vector's first value", "pack.v[k] += other.v[k]",
          "pack.v[k] += other.v[0]", fused),
    Fault(FORWARD, "ReLU that stops NaN", "pack.v[k] <= scalar_t(0) ? scalar_t(0) : pack.v[k]",
          "pack.v[k] > scalar_t(0) ? pack.v[k] : scalar_t(0)", fused),
    Fault(FORWARD, "a residual where there is none", "if (residual) {", "if (true) {", train,
          "memcheck"),
    Fault(BACKWARD, "ReLU's mask without beta", "normalised(value.v[k], centre, scale, add)",
          "normalised(value.v[k], centre, scale, scalar_t(0))", fused),
    Fault(BACKWARD, "sums over what ReLU cut", "cut ? scalar_t(0) : dy[at.address]",
          "dy[at.address]", fused),
    Fault(BACKWARD, "the gradient passes where y is 0", "y && y[at.address] <= scalar_t(0)",
          "y && y[at.address] < scalar_t(0)", fused),
    Fault(BACKWARD, "the residual's gradient is left out", "if (delta) delta[at.address] = given;",
          "", fused, "initcheck"),
]  # fmt: skip
