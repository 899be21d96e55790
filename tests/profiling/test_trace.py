"""trace.json against the rules of the Trace Event Format, and against the spans it shows.

The rules are written from the public description of the format; nothing of gpucnn's is in them.
"""

import json
from collections import Counter, defaultdict
from typing import Any

import pytest

from gpucnn.ops.numpy_ops import NumpyOps
from gpucnn.profiling.aggregate import build_profile
from gpucnn.profiling.emulated import laid_out
from gpucnn.profiling.intervals import gaps
from gpucnn.profiling.profile import Profile
from gpucnn.profiling.spans import Span, by_step
from gpucnn.profiling.trace import to_trace
from tests.profiling.runs import queued, recorded
from tests.profiling.samples import predicted

NUMBER = (int, float)


def violations(trace: dict[str, Any]) -> list[str]:
    """What breaks the format: required keys and their types, nesting, arrows without an end."""
    found: list[str] = []
    tracks: dict[tuple[int, int], list[tuple[int, int, str]]] = defaultdict(list)
    named: set[tuple[str, int, int]] = set()
    arrows: Counter[tuple[Any, ...]] = Counter()
    last = 0.0
    for event in trace["traceEvents"]:
        kind, name = event.get("ph"), event.get("name")
        whole = all(isinstance(event.get(key), int) for key in ("pid", "tid"))
        whole = whole and isinstance(event.get("ts"), NUMBER) and event["ts"] >= 0
        if kind == "X":
            whole = whole and isinstance(event.get("dur"), NUMBER) and event["dur"] >= 0
        if not whole or not isinstance(name, str) or kind not in ("X", "M", "s", "f"):
            found.append(f"not a whole event: {event}")
            continue
        if kind != "M":
            found += [f"{name}: before its predecessor"] if event["ts"] < last else []
            last = event["ts"]
        if kind == "M":
            key = "sort_index" if name.endswith("sort_index") else "name"
            if set(event["args"]) != {key}:
                found.append(f"{name}: must have the argument {key}")
            named.add((name, event["pid"], event["tid"]))
        elif kind == "X":
            start = round(1000 * event["ts"])
            track = tracks[event["pid"], event["tid"]]
            track.append((start, start + round(1000 * event["dur"]), name))
        else:
            arrows[event["cat"], event["id"], kind] += 1
    for (pid, tid), events in tracks.items():
        if ("thread_name", pid, tid) not in named or ("process_name", pid, 0) not in named:
            found.append(f"track {pid}, {tid} has no name")
        found += crossings(events)
    starts = {key[:2]: n for key, n in arrows.items() if key[2] == "s"}
    ends = {key[:2]: n for key, n in arrows.items() if key[2] == "f"}
    if starts != ends or any(n != 1 for n in starts.values()):
        found.append("an arrow has no beginning or no end")
    return found


def crossings(events: list[tuple[int, int, str]]) -> list[str]:
    """Events of one track that overlap without the earlier in the file containing the other."""
    found: list[str] = []
    open_: list[tuple[int, str]] = []
    for start, end, name in events:
        while open_ and open_[-1][0] <= start:
            open_.pop()
        if open_ and open_[-1][0] < end:
            found.append(f"{name} crosses {open_[-1][1]}")
        open_.append((end, name))
    return found


def made(spans: list[Span], device: str) -> tuple[Profile, dict[str, Any]]:
    meta = {"device": device, "device_name": "<d> é", "warmup": 0, "steps": 3, "config": "a.yaml"}
    found = build_profile(spans, meta)
    return found, json.loads(json.dumps(to_trace(found, spans), allow_nan=False))


def complete(trace: dict[str, Any], pid: int, track: str) -> list[dict[str, Any]]:
    (tid,) = [
        event["tid"]
        for event in trace["traceEvents"]
        if event["name"] == "thread_name" and event["pid"] == pid and event["args"]["name"] == track
    ]
    events = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    return [event for event in events if (event["pid"], event["tid"]) == (pid, tid)]


@pytest.mark.parametrize("device", [True, False])
def test_the_trace_keeps_to_the_format(device: bool) -> None:
    spans = queued() if device else recorded(NumpyOps())
    _, trace = made(spans, "queue" if device else "cpu")
    assert violations(trace) == []
    shown = Counter(event["cat"] for event in trace["traceEvents"] if event["ph"] == "X")
    kinds = Counter(span.kind for span in spans)
    kinds.update(span.kind for span in spans if span.device is not None)
    del shown["gap"]
    assert shown == kinds


def broken(trace: dict[str, Any], change: str) -> dict[str, Any]:
    events = trace["traceEvents"]
    first = next(event for event in events if event["ph"] == "X" and event["cat"] == "layer")
    if change == "crossing":
        first["dur"] += 1e6
        events.append({**first, "ts": first["ts"] + 1, "dur": first["dur"]})
    elif change == "nameless":
        trace["traceEvents"] = [e for e in events if e["name"] != "thread_name"]
    elif change == "arrow":
        events.remove(next(event for event in events if event["ph"] == "f"))
    elif change == "disorder":
        events.append(events.pop(-len(events) // 2))
    else:
        del first[change]
    return trace


@pytest.mark.parametrize(
    "change", ["crossing", "nameless", "arrow", "disorder", "ts", "dur", "pid", "name", "ph"]
)
def test_the_rules_find_what_breaks_them(change: str) -> None:
    assert violations(broken(made(queued(), "queue")[1], change))


def test_kernels_are_on_the_device_and_arrows_lead_to_them() -> None:
    spans = queued()
    found, trace = made(spans, "queue")
    kernels = complete(trace, 2, "kernels and copies")
    total = sum(event["dur"] for event in kernels) / 1000 / len(by_step(spans))
    assert total == pytest.approx(found.busy_ms)
    assert len(complete(trace, 1, "launches")) == len([s for s in spans if s.kind == "kernel"])
    starts = {event["id"]: event for event in trace["traceEvents"] if event["ph"] == "s"}
    ends = {event["id"]: event for event in trace["traceEvents"] if event["ph"] == "f"}
    assert len(starts) == len(kernels)
    assert all(starts[i]["ts"] <= ends[i]["ts"] for i in starts), "launched before it runs"


def test_gaps_are_all_there_and_say_where_the_host_was() -> None:
    spans = queued()
    _, trace = made(spans, "queue")
    shown = complete(trace, 1, "gaps")
    expected = sum(ns for step in by_step(spans) for _, ns in gaps(spans, step))
    assert sum(round(1000 * event["dur"]) for event in shown) == expected
    assert "to_numpy" in {event["name"] for event in shown if event["args"]["pass"] == "update"}


def test_methods_tell_shapes_and_work() -> None:
    _, trace = made(recorded(NumpyOps()), "cpu")
    first = next(e for e in complete(trace, 1, "methods") if e["name"] == "conv2d_forward")
    assert first["args"]["layer"] == "model.layers.0"
    assert first["args"]["pass"] == "forward"
    assert first["args"]["arguments"].split(", ")[1:] == ["2 x 1 x 3 x 3", "2"]
    n, k, h, w = map(int, first["args"]["results"].split(" x "))
    assert first["args"]["flops"] == n * k * h * w * (2 * 9 + 1)
    assert all(event["pid"] == 1 for event in trace["traceEvents"])


def test_the_emulators_times_are_told_as_its_own() -> None:
    _, trace = made(recorded(NumpyOps()), "emulator")
    assert "say nothing about a GPU" in trace["otherData"]["times"]
    names = [e["args"]["name"] for e in trace["traceEvents"] if e["name"] == "process_name"]
    assert names == ["emulator (its own times)"]


def test_a_prediction_says_so() -> None:
    spans = queued()
    # In predicted time, what contains a kernel alone begins and ends with it.
    spans = laid_out(spans, {i: 1000 for i, span in enumerate(spans) if span.kind == "kernel"})
    trace = to_trace(predicted(), spans)
    assert violations(trace) == []
    assert trace["otherData"]["times"].startswith("PREDICTED for a gpu")
    names = [e["args"]["name"] for e in trace["traceEvents"] if e["name"] == "process_name"]
    assert names == ["host (a prediction: it takes no time)", "PREDICTED: a gpu"]
