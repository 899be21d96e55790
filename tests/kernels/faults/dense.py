"""Faults in the linear layer and the losses."""

from collections.abc import Callable

import pytest

from gpucnn.ops.base import Ops
from tests.kernels import test_dense as kernels
from tests.kernels.faults import Fault
from tests.kernels.faults.elementwise import faults, on
from tests.ops import test_dense as general
from tests.ops.harness import normal

Check = Callable[[Ops], None]


def linear(n: int, features: int, units: int, tile: int = 32, chunk: int | None = None) -> Check:
    """A linear layer of whole numbers, cut as asked."""

    def check(ops: Ops) -> None:
        with pytest.MonkeyPatch.context() as patch:
            kernels.force(patch, tile, chunk)
            on(kernels.check_linear, n, features, units)(ops)

    return check


def entropy(rows: int, classes: int, smoothing: float = 0.0) -> Check:
    logits = normal((rows, classes), "float32")
    return on(general.check_cross_entropy, logits, smoothing, "mean")


plain, chunked, large = linear(33, 36, 34), linear(50, 97, 52, 32, 16), linear(70, 20, 100, 128)
bias = on(kernels.test_bias_gradient, "float32", 600, 33)
wrong_labels = on(kernels.check_wrong_labels)
squares = on(general.check_squared_error, (3, 1111), "float32", "mean")

FAULTS: list[Fault] = [
    *faults(
        "gemm.cuh",
        ("sums not begun at 0", "[TILE_N / kSide] = {};", "[TILE_N / kSide];", plain),
        (
            "a buffer shorter than a tile",
            "kPitchA = TILE_M + kVector",
            "kPitchA = TILE_M - kVector",
            plain,
            "racecheck",
        ),
        ("no barrier", "        __syncthreads();\n", "", plain, "racecheck"),
        ("one buffer", "buffer ^= 1", "buffer ^= 0", plain, "racecheck"),
        ("a chunk to the end of k", "min(uint32(g.k), k_begin + g.chunk)", "g.k", chunked),
        ("the first chunk each time", "k_begin = blockIdx.z * g.chunk", "k_begin = 0", chunked),
        (
            "the last tile of k left out",
            "k < k_end; k += TILE_K",
            "k + TILE_K < k_end; k += TILE_K",
            plain,
        ),
        ("the edge of a row not looked at", "row && fast + v < limit", "row", plain, "memcheck"),
        (
            "the transposing store row by row",
            "address[v * PITCH]",
            "address[v]",
            plain,
            "racecheck",
        ),
        (
            "vectors of neighbours overlap",
            "i / width * (kSide * width)",
            "i / width * kSide",
            large,
            "racecheck",
        ),
        ("one bias for a vector", "biased ? bias[column + v]", "biased ? bias[column]", large),
        (
            "tiles of m and n swapped",
            "first_m = blockIdx.x / tiles_n * TILE_M",
            "first_m = blockIdx.x % tiles_n * TILE_M",
            linear(65, 5, 33),
            "racecheck",
        ),
        ("a chunk left out", "int z = 1", "int z = 2", chunked),
        (
            "parts apart by one",
            "parts[z * uint32(count) + i]",
            "parts[z * uint32(count) + i - 1]",
            chunked,
        ),
        (
            "a column beyond the edge",
            "if (column + v < n) out[at + v]",
            "out[at + v]",
            linear(1, 3, 33),
            "memcheck",
        ),
    ),
    *faults(
        "linear_forward",
        ("bias left out", "shared, x, w, b, {", "shared, x, w, nullptr, {", plain),
        ("w not transposed", "gemm<true, true>", "gemm<true, false>", plain),
        (
            "bias left out of the sum of chunks",
            "gemm_reduce(parts, b,",
            "gemm_reduce(parts, nullptr,",
            chunked,
        ),
        ("the last chunk left out", "n, chunks);", "n, chunks - 1);", chunked),
    ),
    *faults(
        "linear_backward",
        ("a sum not begun at 0", "scalar_t sum = 0;", "scalar_t sum;", bias),
        ("a column too many", "|| column >= columns", "|| column > columns", bias, "racecheck"),
        ("w transposed in dx", "gemm<true, false>", "gemm<true, true>", plain),
        ("dy not transposed in dw", "gemm<false, false>", "gemm<true, false>", plain),
        ("no barrier in db", "    __syncthreads();\n", "", bias, "racecheck"),
        ("a lane left out of db", "lane < 8", "lane < 7", bias),
        ("the lanes' stride in db", "row += 8", "row += 9", bias),
        ("db's chunks from the top", "first = blockIdx.z * chunk", "first = 0", bias),
        ("db's chunks to the end", "min(uint32(rows), first + chunk)", "uint32(rows)", bias),
        ("the last chunk left out", "1, chunks);", "1, chunks - 1);", chunked),
    ),
    *faults(
        "softmax_cross_entropy",
        ("the first row's label", "labels[row]", "labels[0]", entropy(5, 7)),
        (
            "a class too many",
            "const scalar_t shifted",
            "if (j + 1 == uint32(classes)) dlogits[j + 1] = 0;\n        const scalar_t shifted",
            entropy(5, 7),
            "racecheck",
        ),
        ("one label too many", "label >= classes", "label > classes", wrong_labels),
        (
            "labels below 0 let through",
            "label < 0 || label >= classes",
            "label >= classes",
            wrong_labels,
        ),
        (
            "smoothing left out of the gradient",
            " - spread - target",
            " - target",
            entropy(5, 7, 0.1),
        ),
        (
            "smoothing left out of the loss",
            "loss += spread * negative_logs;",
            "",
            entropy(5, 7, 0.1),
        ),
        (
            "smoothing without smoothing",
            "if (spread > scalar_t(0)) ",
            "",
            on(kernels.check_impossible_class),
        ),
        ("gradient of the sum", " - target) * share", " - target)", entropy(5, 7)),
        (
            "loss of the sum",
            "add_parts(losses, rows, share",
            "add_parts(losses, rows, scalar_t(1)",
            entropy(5, 7),
        ),
        (
            "sums of single lanes",
            "negative_logs = team_sum(negative_logs, scratch);",
            "",
            entropy(5, 33, 0.1),
        ),
        (
            "rows of blocks overlap",
            "blockIdx.x * blockDim.y",
            "blockIdx.x",
            entropy(20, 3),
            "racecheck",
        ),
    ),
    *faults(
        "loss.cuh",
        ("a part too many", "i < uint32(count)", "i <= uint32(count)", squares, "memcheck"),
        ("parts skipped", "i += blockDim.x", "i += blockDim.x + 1", entropy(600, 2)),
        ("one part a thread", "sum += parts[i]", "sum = parts[i]", entropy(600, 2)),
        ("not scaled", "*loss = scale * sum", "*loss = sum", squares),
        ("sums of single threads", "sum = block_sum(sum, scratch);", "", entropy(40, 2)),
    ),
    *faults(
        "mean_squared_error",
        ("squares not begun at 0", "scalar_t squares = 0;", "scalar_t squares;", squares),
        ("the sign", "value - wanted", "wanted - value", squares),
        ("gradient of the sum", "return share * distance", "return distance", squares),
        ("all parts in one place", "parts[blockIdx.x]", "parts[0]", squares, "racecheck"),
        ("the last square alone", "squares += distance", "squares = distance", squares),
    ),
]
