"""Times of every method by the device's own events, with a cold L2, beside PyTorch's."""

from collections.abc import Callable
from math import exp, log
from statistics import median
from typing import Any, NamedTuple

import gpucnn
from acceptance.parity import SMALL
from acceptance.sections import Deadline, Section
from gpucnn.profiling.benchmark.cases import Case, conv_shape, drawer
from gpucnn.profiling.benchmark.makers import cases
from gpucnn.profiling.benchmark.timers import (
    FLUSH_BYTES,
    CupyTimer,
    Stopwatch,
    Timer,
    TorchTimer,
)
from gpucnn.profiling.benchmark.torch_calls import MODES, torch_call, torch_drawer, use_mode

REPEATS = 7
QUICK_BYTES = 1 << 20
"""Where the times do not matter."""


def timing(
    section: Section, device: str, table: dict[str, Any], deadline: Deadline, quick: bool
) -> None:
    """Milliseconds a call, the median of `REPEATS`, with the rates that they mean.

    First all of ours beside PyTorch's fp32, then PyTorch's other modes: what a short time leaves
    out is the least wanted.
    """
    if device == "emulator":
        section.skip("the emulator's times say nothing about a GPU")
        return
    import cupy

    ops, torch = gpucnn.get_ops(device), torch_with_cuda(device)
    repeats, flush = (1, QUICK_BYTES) if quick else (REPEATS, FLUSH_BYTES)
    table = SMALL if quick else table
    timers: dict[str, Timer] = {"gpucnn": CupyTimer(cupy, flush)}
    modes: tuple[str, ...] = ()
    if torch is not None:
        modes, timers["torch"] = MODES, TorchTimer(torch, flush)
    pieces = [Timed(case, by) for case in cases(table) for by in ("gpucnn", *modes[:1])]
    pieces += [Timed(case, by) for case in cases(table) for by in modes[1:]]

    def timed(piece: Timed) -> None:
        case, by = piece
        row: dict[str, Any] = {"method": case.method, "shape": case.shape, "by": by}
        row["sizes"] = list(case.sizes)
        pool = cupy.get_default_memory_pool()
        free, _ = cupy.cuda.runtime.memGetInfo()
        if 2 * case.bytes > free + pool.free_bytes():
            row["left_out"] = "the GPU's memory is too small for it"
        elif by == "gpucnn":
            draw = drawer(ops, "float32", lambda a, shape: cupy.resize(cupy.asarray(a), shape))
            row["ms"] = measured(case.prepare(ops, draw), timers["gpucnn"], repeats)
            row["tflops"] = case.flops / row["ms"] / 1e9
            row["gb_per_s"] = case.bytes / row["ms"] / 1e6
            pool.free_all_blocks()
        else:
            use_mode(torch, by)
            call = torch_call(torch, case, torch_drawer(torch, by, "cuda"), by)
            if call is None:
                return
            row["ms"] = measured(call, timers["torch"], repeats)
            del call
            torch.cuda.empty_cache()
        section.add(row)

    section.note(torch=None if torch is None else torch.__version__)
    section.each(pieces, timed, deadline, lambda: gpucnn.get_ops(device))


class Timed(NamedTuple):
    """A case on gpucnn, or on PyTorch in a mode."""

    case: Case
    by: str

    def __str__(self) -> str:
        return f"{self.case} by {self.by}"


def torch_with_cuda(device: str) -> Any:
    """PyTorch on the same GPU, where it is installed and sees one; else None."""
    try:
        import torch
    except ImportError:
        return None
    if not torch.cuda.is_available():
        return None
    torch.cuda.set_device(int(device.partition(":")[2] or 0))
    return torch


def measured(call: Callable[[], Any], timer: Timer, repeats: int) -> float:
    """Milliseconds of one call, the median over repeats."""
    watch = Stopwatch(call, timer)
    return median(watch.once() for _ in range(repeats))


def ratios(rows: list[dict[str, Any]]) -> dict[str, float]:
    """PyTorch's fp32 time over ours, a geometric mean by method; dense convolutions alone."""
    theirs = {(r["method"], r["shape"]): r for r in rows if r["by"] == MODES[0]}
    by_method: dict[str, list[float]] = {}
    for row in rows:
        other = theirs.get((row["method"], row["shape"]), {}).get("ms")
        dense = not row["method"].startswith("conv2d") or conv_shape(row["sizes"]).groups == 1
        if row["by"] == "gpucnn" and other and "ms" in row and dense:
            by_method.setdefault(row["method"], []).append(log(other / row["ms"]))
    return {
        f"{method}_of_torch_fp32": round(exp(sum(logs) / len(logs)), 3)
        for method, logs in by_method.items()
    }
