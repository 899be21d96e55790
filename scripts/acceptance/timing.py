"""Times of every method by the device's own events, with a cold L2, beside PyTorch's."""

from collections.abc import Callable, Iterator
from math import exp, log
from statistics import median
from typing import Any

import gpucnn
from acceptance.cases import Case, cases, conv_shape, drawer
from acceptance.sections import Deadline, Section
from acceptance.torch_calls import MODES, torch_call
from gpucnn.ops.base import Ops

REPEATS = 7
FLUSH_BYTES = 1 << 30
"""Written before each repeat: more than any L2 holds, and while the GPU writes, the host has time
to put the launches behind it, so that no event waits for Python."""


def timing(device: str, table: dict[str, Any], deadline: Deadline, quick: bool) -> Section:
    """Milliseconds a call, the median of `REPEATS`, with the rates that they mean."""
    section = Section("timing")
    if device == "emulator":
        section.skipped = "the emulator's times say nothing about a GPU"
        return section
    import cupy

    ops, torch = gpucnn.get_ops(device), torch_with_cuda()
    section.summary["torch"] = None if torch is None else torch.__version__
    if quick:
        table = {kind: dict(list(rows.items())[:1]) for kind, rows in table.items()}
    for case in cases(table):
        what = f"{case.method} {case.shape}"
        if deadline.left_out(section, what):
            continue
        with section.guard(what):
            section.add(timed(cupy, torch, ops, case, deadline), failed=False)
    section.summary |= ratios(section.rows)
    return section


def timed(cupy: Any, torch: Any, ops: Ops, case: Case, deadline: Deadline) -> dict[str, Any]:
    """One case's row. A case that does not fit into the GPU's memory says so in place of times."""
    row: dict[str, Any] = {"method": case.method, "shape": case.shape, "sizes": case.sizes}
    pool = cupy.get_default_memory_pool()
    free, _ = cupy.cuda.runtime.memGetInfo()
    if 2 * case.bytes + FLUSH_BYTES > free + pool.free_bytes():
        return {**row, "left_out": "the GPU's memory is too small for it"}
    draw = drawer(ops, "float32", lambda a, shape: cupy.resize(cupy.asarray(a), shape))
    row["ms"] = measured(case.prepare(ops, draw), CupyClock(cupy))
    row["tflops"] = case.flops / row["ms"] / 1e9
    row["gb_per_s"] = case.bytes / row["ms"] / 1e6
    pool.free_all_blocks()
    if torch is not None:
        row["torch_ms"] = dict(torch_times(torch, case, deadline))
        torch.cuda.empty_cache()
    return row


def torch_with_cuda() -> Any:
    """PyTorch, where it is installed and sees the GPU; else None."""
    try:
        import torch
    except ImportError:
        return None
    return torch if torch.cuda.is_available() else None


class CupyClock:
    """CuPy's events on its current stream."""

    def __init__(self, cupy: Any) -> None:
        self._cupy = cupy
        self._buffer = cupy.empty(FLUSH_BYTES, "uint8")

    def flush(self) -> None:
        self._buffer.fill(1)

    def event(self) -> Any:
        event = self._cupy.cuda.Event()
        event.record()
        return event

    def milliseconds(self, begin: Any, end: Any) -> float:
        end.synchronize()
        return float(self._cupy.cuda.get_elapsed_time(begin, end))


class TorchClock:
    """PyTorch's events on its current stream."""

    def __init__(self, torch: Any) -> None:
        self._torch = torch
        self._buffer = torch.empty(FLUSH_BYTES, dtype=torch.uint8, device="cuda")

    def flush(self) -> None:
        self._buffer.fill_(1)

    def event(self) -> Any:
        event = self._torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def milliseconds(self, begin: Any, end: Any) -> float:
        end.synchronize()
        return float(begin.elapsed_time(end))


def measured(call: Callable[[], Any], clock: CupyClock | TorchClock) -> float:
    """Milliseconds of one call, the median over repeats, after two that compile and tune."""
    call()
    call()
    times = []
    for _ in range(REPEATS):
        clock.flush()
        begin = clock.event()
        call()
        times.append(clock.milliseconds(begin, clock.event()))
    return median(times)


def torch_times(torch: Any, case: Case, deadline: Deadline) -> Iterator[tuple[str, float]]:
    """PyTorch's time for the same work in each mode, where it has such a call."""
    for mode in MODES:
        call = torch_call(torch, case, mode)
        if call is not None and deadline.left:
            yield mode, measured(call, TorchClock(torch))


def ratios(rows: list[dict[str, Any]]) -> dict[str, float]:
    """PyTorch's fp32 time over ours, a geometric mean by method; dense convolutions alone."""
    by_method: dict[str, list[float]] = {}
    for row in rows:
        theirs = row.get("torch_ms", {}).get("fp32")
        dense = not row["method"].startswith("conv2d") or conv_shape(row["sizes"]).groups == 1
        if theirs and dense:
            by_method.setdefault(row["method"], []).append(log(theirs / row["ms"]))
    return {
        f"{method}_of_torch_fp32": round(exp(sum(logs) / len(logs)), 3)
        for method, logs in by_method.items()
    }
