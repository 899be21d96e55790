"""What the convolutions' plans should reach on an H200, before one has measured them.

    .venv/bin/python benchmarks/conv_predictions.py        # needs what sass_mix.py needs

A time is the larger of two. Instructions: the busiest multiprocessor's blocks, each with its whole
tile, at the share of multiply-adds that sass_mix.py finds in the loop; launches, the loop's begin
and end, waits for memory and conflicts come on top. Memory: every array once. For the direct and
depthwise kernels, the multiply-adds alone stand for the instructions.
"""

from functools import cache
from pathlib import Path

import yaml
from sass_mix import mix

from gpucnn.ops.kernels.conv_plan import FILES, ConvPlan, Operation, plan
from gpucnn.ops.kernels.conv_tiles import MULTIPROCESSORS, Tile
from gpucnn.ops.shapes import Conv2dShape
from gpucnn.runtime.registry import builds

HERTZ, LANES, BYTES_A_SECOND = 1.98e9, 128, 4.8e12
PEAK = 2 * MULTIPROCESSORS * LANES * HERTZ
SHAPES = Path(__file__).parent.parent / "configs" / "benchmark_shapes.yaml"


@cache
def share(operation: Operation, tile: Tile, stages: int) -> float:
    """Multiply-adds of the instructions of the loop over the tiles, on sm_90."""
    wanted = {(name, str(value)) for name, value in (*tile.macros, ("STAGES", stages))}
    for build in builds():
        if build.file == operation and build.type == "float" and wanted <= set(build.macros):
            return mix(build, operation, "sm_90").share
    raise LookupError(wanted)


def shape_of(numbers: list[int]) -> Conv2dShape:
    n, c, h, w, k, r, s, stride, padding, dilation, groups = numbers
    return Conv2dShape.of(
        (n, c, h, w), (k, c // groups, r, s),
        stride=stride, padding=padding, dilation=dilation, groups=groups,
    )  # fmt: skip


def depth_of(found: ConvPlan, shape: Conv2dShape) -> float:
    """Terms of a sum; of the phases of a stride, on average."""
    if found.operation == "conv2d_forward":
        return shape.c // shape.groups * shape.r * shape.s
    if found.operation == "conv2d_backward_weight":
        return found.length
    phases = found.products / shape.groups
    return shape.k // shape.groups * shape.r * shape.s / phases


def flops_of(shape: Conv2dShape) -> int:
    terms = shape.c // shape.groups * shape.r * shape.s
    return 2 * shape.n * shape.k * shape.p * shape.q * terms


def seconds(found: ConvPlan, shape: Conv2dShape) -> tuple[float, float]:
    """By instructions and by memory."""
    sizes = (shape.x_shape, shape.w_shape, shape.y_shape)
    memory = 4 * sum(a * b * c * d for a, b, c, d in sizes) / BYTES_A_SECOND
    if found.tile is None:
        return flops_of(shape) / PEAK, memory
    busiest = -(-found.blocks // MULTIPROCESSORS)
    products = busiest * found.tile.m * found.tile.n * depth_of(found, shape)
    return products / share(found.operation, found.tile, found.stages) / LANES / HERTZ, memory


def main() -> None:
    print("| shape | GFLOP | forward | backward_input | backward_weight |")
    print("|---|---|---|---|---|")
    for name, numbers in yaml.safe_load(SHAPES.read_text())["convolutions"].items():
        shape = shape_of(numbers)
        flops, cells = flops_of(shape), list[str]()
        for operation in FILES:
            found = plan(operation, shape, "float32")
            time = max(by := seconds(found, shape))
            kind = found.kind if found.tile is None else f"{found.tile.m}x{found.tile.n}"
            bound = "C" if by[0] >= by[1] else "M"
            cells.append(f"{kind} {time * 1e6:.0f} µs {bound} {flops / time / PEAK:.0%}")
        print(f"| {name} | {flops / 1e9:.2f} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
