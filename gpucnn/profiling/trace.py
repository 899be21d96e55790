"""trace.json: every span on a time axis, for ui.perfetto.dev, chrome://tracing and speedscope.

The Trace Event Format: complete events ("X") on tracks, named by metadata events ("M"); an arrow
("s" to "f") leads from a launch on the host to its kernel on the device. Times are microseconds
from the beginning of the first step.
"""

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any

from gpucnn.profiling.intervals import idle_segments, where
from gpucnn.profiling.labels import layer_label
from gpucnn.profiling.profile import Profile
from gpucnn.profiling.sizes import Shaped, flat
from gpucnn.profiling.spans import Span, by_step
from gpucnn.profiling.work import work

HOST, DEVICE = 1, 2

TRACKS = ("steps", "layers", "methods", "launches", "waits for data", "gaps")
"""Of the host, from top to bottom; their thread ids are their places, from 1 on."""

KINDS = {"step": 1, "layer": 2, "method": 3, "kernel": 4, "data": 5}
GAPS = 6

DEVICE_TRACKS = ("steps", "kernels and copies")

Event = dict[str, Any]


def to_trace(profile: Profile, spans: Sequence[Span]) -> dict[str, Any]:
    """The trace of `spans`, which `profile` was made from, as JSON values."""
    origin = min(
        min(span.start_ns, *(span.device or (span.start_ns,)))
        for span in spans
        if span.kind == "step"
    )
    on_device = spans[0].device is not None
    used = {KINDS[span.kind] for span in spans}
    events = list(_names(profile, on_device, used | {GAPS}))
    body = [*_spans(profile, spans, origin), *_gaps(profile, spans, origin, on_device)]
    # Outer before inner where both begin together: viewers nest them in this order.
    events += sorted(body, key=lambda event: (event["ts"], -event.get("dur", 0.0)))
    return {"traceEvents": events, "displayTimeUnit": "ms", "otherData": _facts(profile)}


def _facts(profile: Profile) -> dict[str, str]:
    facts = {
        key: str(profile.meta[key]) for key in ("config", "device_name") if key in profile.meta
    }
    return {**facts, "times": _whose_times(profile)}


def _whose_times(profile: Profile) -> str:
    if profile.meta["device"] == "emulator":
        return "the emulator's own: they say nothing about a GPU"
    return f"measured on {profile.meta['device']}"


def _names(profile: Profile, on_device: bool, used: set[int]) -> Iterator[Event]:
    emulated = profile.meta["device"] == "emulator"
    yield from _process(HOST, "emulator (its own times)" if emulated else "host", 0)
    for tid, name in enumerate(TRACKS, 1):
        if tid in used:
            # Where nothing runs beside the host, a kernel is not launched but run.
            alone = tid == KINDS["kernel"] and not on_device
            yield from _thread(HOST, tid, "kernels" if alone else name)
    if on_device:
        yield from _process(DEVICE, f"device: {profile.meta['device_name']}", 1)
        for tid, name in enumerate(DEVICE_TRACKS, 1):
            yield from _thread(DEVICE, tid, name)


def _process(pid: int, name: str, place: int) -> Iterator[Event]:
    yield _metadata("process_name", pid, 0, name=name)
    yield _metadata("process_sort_index", pid, 0, sort_index=place)


def _thread(pid: int, tid: int, name: str) -> Iterator[Event]:
    yield _metadata("thread_name", pid, tid, name=name)
    yield _metadata("thread_sort_index", pid, tid, sort_index=tid)


def _metadata(kind: str, pid: int, tid: int, **args: Any) -> Event:
    return {
        "ph": "M",
        "name": kind,
        "cat": "__metadata",
        "pid": pid,
        "tid": tid,
        "ts": 0,
        "args": args,
    }


def _spans(profile: Profile, spans: Sequence[Span], origin: int) -> Iterator[Event]:
    for place, span in enumerate(spans):
        name, args = _name(profile, span), _args(profile, spans, span)
        host = _event(name, span.kind, HOST, KINDS[span.kind], span.start_ns, span.end_ns, origin)
        yield host | {"args": args}
        if span.device is None:
            continue
        tid = 1 if span.kind == "step" else 2
        device = _event(name, span.kind, DEVICE, tid, *span.device, origin)
        yield device | {"args": args}
        if span.kind != "step":
            arrow = {"name": "launch", "cat": "launch", "id": place}
            yield arrow | {"ph": "s", "pid": HOST, "tid": host["tid"], "ts": host["ts"]}
            yield arrow | {"ph": "f", "bp": "e", "pid": DEVICE, "tid": tid, "ts": device["ts"]}


def _event(name: str, kind: str, pid: int, tid: int, start: int, end: int, origin: int) -> Event:
    ts, dur = (start - origin) / 1000, (end - start) / 1000
    return {"ph": "X", "name": name, "cat": kind, "pid": pid, "tid": tid, "ts": ts, "dur": dur}


def _name(profile: Profile, span: Span) -> str:
    if span.kind == "step":
        return f"step {span.step}"
    if span.kind == "layer":
        return f"{layer_label(profile, span.layer)} {span.phase}"
    return span.name


def _args(profile: Profile, spans: Sequence[Span], span: Span) -> dict[str, Any]:
    if span.kind in ("step", "data"):
        return {}
    args: dict[str, Any] = {"layer": span.layer or "none", "pass": span.phase}
    if span.launch is not None:
        launch = span.launch
        args |= dict(launch.kernel.macros)
        args |= {"grid": _by(launch.grid), "block": _by(launch.block)}
        args |= {"blocks": prod(launch.grid), "shared bytes": launch.shared_bytes}
        args["method"] = spans[span.parent].name if span.parent >= 0 else "none"
    if span.call is not None:
        done = work(span.name, span.call)
        args["arguments"] = _shapes(flat([*span.call.args, *span.call.options.values()]))
        args["results"] = _shapes(flat([span.call.result]))
        args |= {"flops": done.flops, "minimal bytes": done.bytes}
    return args


def _by(numbers: Sequence[int]) -> str:
    return " x ".join(map(str, numbers))


def _shapes(arrays: Sequence[Shaped]) -> str:
    return ", ".join(_by(array.shape) or "scalar" for array in arrays)


def _gaps(profile: Profile, spans: Sequence[Span], origin: int, on_device: bool) -> Iterator[Event]:
    """When nothing was computed, and where the host was for the longest part of it."""
    for step in by_step(spans):
        for pieces in idle_segments(spans, step):
            longest = max(pieces, key=lambda piece: piece.end - piece.start)
            layer, phase, name = where(spans, max(longest.place, step[0]))
            event = _event(name, "gap", HOST, GAPS, pieces[0].start, pieces[-1].end, origin)
            yield event | {"args": {"layer": layer or "none", "pass": phase or "none"}}
