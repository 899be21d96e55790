"""Time the cpu device's convolutions beside PyTorch's, in one run on the same cores.

    python benchmarks/cpu_convolutions.py [--record] [--rounds 15]

Each round times gpucnn and PyTorch in turn, so that what else the machine does meets both; the
ratio is of medians. Needs PyTorch. A ratio above 1 means gpucnn is faster.
"""

import argparse
from collections.abc import Callable
from math import exp, log
from statistics import mean, median, quantiles
from time import perf_counter

import numpy as np
import torch
from machine import record

import gpucnn

SHAPES = {  # N, C, H, W, K, kernel, stride, padding
    "5x5 p2 32-64 @14": (64, 32, 14, 14, 64, 5, 1, 2),
    "3x3 p1 64-64 @32": (64, 64, 32, 32, 64, 3, 1, 1),
    "3x3 p1 64-64 @56": (16, 64, 56, 56, 64, 3, 1, 1),
    "3x3 s2 p1 128-256 @28": (16, 128, 28, 28, 256, 3, 2, 1),
    "1x1 256-128 @28": (16, 256, 28, 28, 128, 1, 1, 0),
    "3x3 p1 256-256 @14": (16, 256, 14, 14, 256, 3, 1, 1),
}


def passes(shape: tuple[int, ...]) -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    """For each pass, gpucnn's call and PyTorch's on the same numbers."""
    n, c, h, w, k, kernel, stride, padding = shape
    ops, rng = gpucnn.get_ops("cpu"), np.random.default_rng(0)
    x = rng.standard_normal((n, c, h, w), np.float32)
    weight = rng.standard_normal((k, c, kernel, kernel), np.float32)
    options = {"stride": stride, "padding": padding}
    y = ops.conv2d_forward(x, weight, **options)
    dy = rng.standard_normal(y.shape, np.float32)
    tx, tw, tdy = map(torch.from_numpy, (x, weight, dy))

    def backward(mask: list[bool]) -> Callable[[], object]:
        pairs = [stride] * 2, [padding] * 2, [1, 1]
        return lambda: torch.ops.aten.convolution_backward(
            tdy, tx, tw, None, *pairs, False, [0, 0], 1, mask
        )

    return {
        "forward": (
            lambda: ops.conv2d_forward(x, weight, **options),
            lambda: torch.nn.functional.conv2d(tx, tw, **options),
        ),
        "backward_input": (
            lambda: ops.conv2d_backward_input(dy, weight, x.shape, **options),
            backward([True, False, False]),
        ),
        "backward_weight": (
            lambda: ops.conv2d_backward_weight(dy, x, weight.shape, **options),
            backward([False, True, False]),
        ),
    }


def seconds(call: Callable[[], object]) -> float:
    start = perf_counter()
    call()
    return perf_counter() - start


def compare(ours: Callable[[], object], theirs: Callable[[], object], rounds: int) -> dict:
    for call in (ours, theirs):
        call()
    times = [(seconds(ours), seconds(theirs)) for _ in range(rounds)]
    mine, other = ([pair[i] * 1e3 for pair in times] for i in (0, 1))
    return {
        "gpucnn_ms": median(mine),
        "gpucnn_quartiles_ms": quantiles(mine, n=4)[::2],
        "torch_ms": median(other),
        "torch_quartiles_ms": quantiles(other, n=4)[::2],
        "ratio": median(other) / median(mine),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--record", action="store_true", help="into benchmarks/results/")
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    rows = []
    for name, shape in SHAPES.items():
        for which, (ours, theirs) in passes(shape).items():
            row = {"shape": name, "pass": which, **compare(ours, theirs, args.rounds)}
            rows.append(row)
            print(
                f"{name:22} {which:16} gpucnn {row['gpucnn_ms']:7.1f} ms  torch"
                f" {row['torch_ms']:7.1f} ms  ratio {row['ratio']:.2f}",
                flush=True,
            )
    geometric = exp(mean(log(row["ratio"]) for row in rows))
    print(f"geometric mean of the ratios: {geometric:.2f}")
    if args.record:
        print(record("convolutions", {"rows": rows, "geometric_mean_ratio": geometric}, None))


if __name__ == "__main__":
    main()
