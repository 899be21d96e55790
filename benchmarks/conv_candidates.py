"""Time every plan of the benchmark convolutions that gives the same bits, on a CUDA device.

    .venv/bin/python benchmarks/conv_candidates.py [--device cuda] [--record] [NAME ...]

A row is one pass of one shape: the estimates' plan and the fastest, in microseconds, and how much
faster that is. `train.autotune: true` takes the fastest.
"""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import yaml
from conv_predictions import SHAPES, shape_of
from machine import record

from gpucnn.ops import get_ops
from gpucnn.ops.kernel_ops import KernelOps
from gpucnn.ops.kernels.conv_plan import ConvPlan, candidates
from gpucnn.ops.kernels.conv_tuner import Tuner
from gpucnn.ops.shapes import Conv2dShape
from gpucnn.runtime.cuda import CudaLauncher
from gpucnn.runtime.timing import milliseconds


class Table(Tuner):
    """Prints what it measures, and keeps the rows alone."""

    def __init__(self, launcher: CudaLauncher) -> None:
        super().__init__(partial(milliseconds, launcher), {}, Path("nowhere"))
        self.name = ""
        self.rows: list[dict[str, object]] = []

    def choose(
        self,
        first: ConvPlan,
        shape: Conv2dShape,
        dtype: str,
        launch: Callable[[ConvPlan], None],
        *,
        measuring: bool = True,
    ) -> ConvPlan:
        us = {
            found: 1e3 * self._measure(partial(launch, found)) for found in candidates(first, dtype)
        }
        best = min(us, key=us.__getitem__)
        print(
            f"| {self.name} | {first.operation} | {words(first)} | {us[first]:.1f} |"
            f" {words(best)} | {us[best]:.1f} | {us[first] / us[best]:.2f} |",
            flush=True,
        )
        row = {"shape": self.name, "operation": first.operation, "estimate": words(first)}
        self.rows.append({**row, "us": {words(found): time for found, time in us.items()}})
        return best


def words(found: ConvPlan) -> str:
    if found.tile is None:
        return found.kind + (f" {found.filters}" if found.filters else "")
    tile = found.tile
    return f"{tile.m}x{tile.n} by {tile.thread_m}x{tile.thread_n}, {found.stages} stages"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", metavar="NAME", help="default: all")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--shapes", type=Path, default=SHAPES, metavar="FILE")
    parser.add_argument("--record", action="store_true", help="into benchmarks/results/")
    options = parser.parse_args()
    shapes = yaml.safe_load(options.shapes.read_text())["convolutions"]
    ops = get_ops(options.device)
    if not isinstance(ops, KernelOps) or not isinstance(ops.launcher, CudaLauncher):
        parser.error(f"--device must be cuda or cuda:N, got {options.device}")
    if unknown := set(options.names) - set(shapes):
        parser.error(f"no shape is named {', '.join(sorted(unknown))}: {', '.join(shapes)}")
    table = ops.tuner = Table(ops.launcher)
    print("| shape | pass | estimate | µs | fastest | µs | times |\n|---|---|---|---|---|---|---|")
    for table.name in options.names or shapes:
        shape = shape_of(shapes[table.name])
        settings = {
            name: getattr(shape, name) for name in ("stride", "padding", "dilation", "groups")
        }
        x, w = (ops.zeros(size, "float32") for size in (shape.x_shape, shape.w_shape))
        dy = ops.conv2d_forward(x, w, **settings)
        ops.conv2d_backward_input(dy, w, x.shape, **settings)
        ops.conv2d_backward_weight(dy, x, w.shape, **settings)
    if options.record:
        print(record("conv_candidates", {"rows": table.rows}, ops=ops))


if __name__ == "__main__":
    main()
