"""Show a config's model as a table: shapes, parameters, MACs, memory, receptive field and jump.

And the memory that training takes at its peak. Needs neither the data nor the device: the model is
built on the CPU, and the memory foretold by a step that computes nothing.
"""

import argparse
from math import prod
from typing import TYPE_CHECKING

from gpucnn.cli.options import add_config, add_device, chosen_device
from gpucnn.cli.tables import show

if TYPE_CHECKING:
    from gpucnn.summary import Row


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """CONFIG, --set and --device."""
    add_config(parser)
    add_device(parser, "the config's")


def run(args: argparse.Namespace) -> int:
    """Print the table and its totals."""
    from gpucnn.build import build_model, resolve_device
    from gpucnn.build.memory import predict_memory
    from gpucnn.config import load_config
    from gpucnn.ops import get_ops
    from gpucnn.summary import FLOAT32_BYTES, summarize

    config = load_config(args.config, overrides=args.overrides)
    model = build_model(config, get_ops("cpu"))
    rows, size = summarize(model), config.data.batch_size
    # How many images all are, the data alone knows.
    batch, share = (1, "an image") if size == "all" else (size, "a batch")
    show(
        f"{args.config}: input {_sizes(model.input_shape)}, batch size {size}, float32",
        ("layer", "name", "output", "parameters", "MACs", "activations", "field", "jump"),
        [_cells(row, batch) for row in rows],
        left=(0, 1, 2),
    )
    parameters = sum(row.parameters for row in rows if row.leaf)
    kept = sum(row.activation_bytes(batch) for row in rows)
    first = batch * prod(model.input_shape) * FLOAT32_BYTES
    print(f"parameters   {parameters:,} ({_memory(parameters * FLOAT32_BYTES)})")
    print(f"MACs         {model.macs():,} an image, forward")
    print(f"activations  {_memory(kept)} for {share}, and {_memory(first)} for its input")
    device = chosen_device(args) or resolve_device(config.device)[0]
    use = predict_memory(config, device, batch)
    parts = (
        f"{_memory(use.state)} weights, gradients and optimizer",
        *([f"{_memory(use.data)} data set"] if use.data else []),
        f"{_memory(use.batch)} input",
        f"{_memory(use.activations)} activations",
        f"{_memory(use.workspaces)} workspaces",
    )
    print(f"memory       {_memory(use.peak)} at the peak of training on {device}, of which")
    print(f"             {', '.join(parts)}")
    if use.data is None:
        print("             and besides the data set, whose size only its files tell")
    print("field, jump: the input pixels one cell sees, and from one cell to the next, in pixels")
    return 0


def _cells(row: "Row", batch: int) -> tuple[str, ...]:
    field = row.field
    return (
        row.path.removeprefix("model.layers."),
        row.kind if row.name == row.kind else f"{row.name} ({row.kind})",
        _sizes(row.output_shape),
        f"{row.parameters:,}" if row.parameters else "",
        f"{row.macs:,}" if row.macs else "",
        _memory(row.activation_bytes(batch)) if row.values else "",
        _pixels(field.size) if field else "",
        _pixels(field.jump) if field else "",
    )


def _sizes(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _pixels(pair: tuple[float, float]) -> str:
    high, wide = (f"{side:g}" for side in pair)
    return high if high == wide else f"{high} x {wide}"


def _memory(size: int) -> str:
    for unit, scale in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} B"
