"""Faults of what products end in: a residual's sum, ReLU, ReLU's gradient."""

from collections.abc import Callable

from gpucnn.ops.base import Ops
from tests.kernels.faults import Fault
from tests.kernels.faults.pooling import poisoned
from tests.ops import test_epilogues as epilogues

Check = Callable[[Ops], None]


def forward(*names: str) -> Check:
    def check(ops: Ops) -> None:
        for name in names:
            epilogues.check_forward(
                poisoned(ops), name, "float32", bias=True, residual=True, relu=True
            )

    return check


def backward(*names: str) -> Check:
    def check(ops: Ops) -> None:
        for name in names:
            epilogues.check_backward_input(poisoned(ops), name, "float32", residual=True, relu=True)

    return check


def linear(*names: str) -> Check:
    def check(ops: Ops) -> None:
        for name in names:
            epilogues.check_linear(poisoned(ops), name, "float32")

    return check


BOTH = ("tiled", "tiled_packs")
END, FORWARD, INPUT = "epilogue.cuh", "conv2d_forward", "conv2d_backward_input"
FAULTS = [
    Fault(END, "the first pack's residual", "load_pack<N>(end.residual + at)",
          "load_pack<N>(end.residual)", forward("tiled_packs")),
    Fault(END, "the residual of one place for a pack", "value.v[v] += other.v[v]",
          "value.v[v] += other.v[0]", forward("tiled_packs")),
    Fault(END, "ReLU where none is asked for", "if (end.relu)\n", "if (!end.relu)\n",
          forward(*BOTH)),
    Fault(END, "ReLU passes the gradient at 0", "y.v[v] <= scalar_t(0)", "y.v[v] < scalar_t(0)",
          backward(*BOTH)),
    Fault(END, "ReLU stops the gradient at NaN", "y.v[v] <= scalar_t(0)",
          "!(y.v[v] > scalar_t(0))", backward(*BOTH)),
    Fault(END, "the mask of the sum, not of x", "y.v[v] <= scalar_t(0)",
          "value.v[v] <= scalar_t(0)", backward(*BOTH)),
    Fault("conv_tile.cuh", "an epilogue one place on",
          "store_pack(out + here, finish(pack, end, here))",
          "store_pack(out + here, finish(pack, end, here + 1))", forward("tiled_packs"),
          "memcheck"),
    Fault("conv_tile.cuh", "an epilogue at the tile's begin",
          "finish(biased(sum[i][j + v], row), end, here)",
          "finish(biased(sum[i][j + v], row), end, base)", backward("tiled")),
    Fault(FORWARD, "the residual of another filter",
          "finish(biased(sum[f], b, first + f), end, at)",
          "finish(biased(sum[f], b, first + f), end, base + row0 * pq)", forward("direct_groups")),
    Fault(FORWARD, "the residual of the row above", "finish(biased(sum[o], b, k), end, at)",
          "finish(biased(sum[o], b, k), end, at - o * d.q)", forward("depthwise")),
    Fault(INPUT, "the residual of the first channel", "finish(sum[c], end, at)",
          "finish(sum[c], end, base)", backward("direct")),
    Fault(INPUT, "neighbours below for those of a phase", "finish(sum[o], end, at)",
          "finish(sum[o], end, at + o)", backward("depthwise_strided"), "memcheck"),
    Fault("gemm.cuh", "ReLU's gradient at the tile's begin",
          "out[at + v] = finish(pack.v[v], end, at + v)",
          "out[at + v] = finish(pack.v[v], end, at)", linear("small")),
    Fault("gemm.cuh", "the sum of parts has no end",
          "finish(bias == nullptr ? sum : sum + bias[i % n], end, i)",
          "bias == nullptr ? sum : sum + bias[i % n]", linear("split_forward")),
    Fault("linear_backward", "the sum of parts is not cut", "{nullptr, relu_y, false}, y, count",
          "{}, y, count", linear("split_backward")),
    Fault("linear_backward", "another ReLU's place in memory", "{nullptr, relu_y, false}, dx",
          "{nullptr, dx, false}, dx", linear("small"), "initcheck"),
    Fault("linear_forward", "ReLU on request left out", "{nullptr, nullptr, relu != 0}, y, g",
          "{}, y, g", linear("packs")),
]  # fmt: skip
