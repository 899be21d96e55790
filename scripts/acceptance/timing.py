"""Times of every method by the device's own events, with a cold L2, beside PyTorch's."""

import time
from collections.abc import Callable
from math import ceil, exp, log
from statistics import median
from typing import Any, NamedTuple

import gpucnn
from acceptance.cases import Case, cases, conv_shape, drawer
from acceptance.parity import SMALL
from acceptance.sections import Deadline, Section
from acceptance.torch_calls import MODES, torch_call

REPEATS = 7
FLUSH_BYTES = 1 << 30
"""Written before each repeat: more than any L2 holds. And while the GPU writes, as often as it
takes, the host puts the launches behind it, so that no event waits for Python."""
MOST_FLUSHES = 16
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
    clocks: dict[str, CupyClock | TorchClock] = {"gpucnn": CupyClock(cupy, flush)}
    modes: tuple[str, ...] = ()
    if torch is not None:
        modes, clocks["torch"] = MODES, TorchClock(torch, flush)
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
            row["ms"] = measured(case.prepare(ops, draw), clocks["gpucnn"], repeats)
            row["tflops"] = case.flops / row["ms"] / 1e9
            row["gb_per_s"] = case.bytes / row["ms"] / 1e6
            pool.free_all_blocks()
        else:
            call = torch_call(torch, case, by)
            if call is None:
                return
            row["ms"] = measured(call, clocks["torch"], repeats)
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


class CupyClock:
    """CuPy's events on its current stream."""

    def __init__(self, cupy: Any, flush: int) -> None:
        self._cupy = cupy
        self._buffer = cupy.empty(flush, "uint8")
        self.flush_ms = flush_time(self)

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

    def __init__(self, torch: Any, flush: int) -> None:
        self._torch = torch
        self._buffer = torch.empty(flush, dtype=torch.uint8, device="cuda")
        self.flush_ms = flush_time(self)

    def flush(self) -> None:
        self._buffer.fill_(1)

    def event(self) -> Any:
        event = self._torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def milliseconds(self, begin: Any, end: Any) -> float:
        end.synchronize()
        return float(begin.elapsed_time(end))


def measured(call: Callable[[], Any], clock: CupyClock | TorchClock, repeats: int) -> float:
    """Milliseconds of one call, the median over repeats, after two that compile and tune."""
    call()
    clock.milliseconds(clock.event(), clock.event())
    began = time.perf_counter()
    call()
    host = 1e3 * (time.perf_counter() - began)
    times = []
    for _ in range(repeats):
        for _ in range(min(MOST_FLUSHES, ceil(2 * host / clock.flush_ms))):
            clock.flush()
        begin = clock.event()
        call()
        times.append(clock.milliseconds(begin, clock.event()))
    return median(times)


def flush_time(clock: CupyClock | TorchClock) -> float:
    """Milliseconds that a flush keeps the device busy."""
    clock.flush()
    begin = clock.event()
    clock.flush()
    return max(1e-3, clock.milliseconds(begin, clock.event()))


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
