"""Faults of the depthwise convolutions with a window that is compiled in."""

from tests.kernels.faults.convolution import faults, on

FAULTS = faults(
    "conv_depthwise.cuh",
    (
        "a row of the padding read",
        "uint32(h) < uint32(height)",
        "uint32(h) <= uint32(height)",
        on("depthwise_two_strips"),
        "memcheck",
    ),
    (
        "a column of the padding read",
        "uint32(w) < uint32(width)",
        "uint32(w) <= uint32(width)",
        on("depthwise_two_strips"),
        "memcheck",
    ),
    (
        "rows before the first read",
        "here && uint32(w)",
        "uint32(w)",
        on("depthwise_7x7"),
    ),
    (
        "a row too few",
        "i < kStrip + KERNEL - 1",
        "i < kStrip + KERNEL - 2",
        on("depthwise_two_strips"),
    ),
    (
        "the transpose from its first row down",
        "DIRECTION > 0 ? row : row + kStrip - 1",
        "row",
        on("depthwise_5x5"),
    ),
    (
        "taps of the transpose turned round",
        ": i - (kStrip - 1 - o)",
        ": KERNEL - 1 - (i - (kStrip - 1 - o))",
        on("depthwise_5x5"),
    ),
    (
        "weights by columns",
        "weights[r * KERNEL + s]",
        "weights[s * KERNEL + r]",
        on("depthwise_7x7"),
    ),
    (
        "weights of the first channel",
        "= weights[r * KERNEL + s]",
        "= weights[(r - KERNEL) * KERNEL + s]",
        on("depthwise_5x5"),
        "memcheck",
    ),
)
