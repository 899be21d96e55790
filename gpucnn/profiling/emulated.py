"""The profile of training steps on the emulator: what it counted, and times predicted from that.

The emulator's own times are those of a CPU that plays a GPU, and are dropped: every time in such a
profile is predicted (gpucnn/profiling/predict.py), and `Profile.predicted` says so.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from gpucnn.profiling.aggregate import build_profile, variant
from gpucnn.profiling.counting import Counted, CountingObserver
from gpucnn.profiling.devices import describe
from gpucnn.profiling.emulated_memory import counted_arrays
from gpucnn.profiling.gpus import Gpu
from gpucnn.profiling.intervals import leaves
from gpucnn.profiling.memory import MemoryObserver, held_before
from gpucnn.profiling.predict import Prediction, assumptions, copied, predict
from gpucnn.profiling.profile import Ceilings, Profile, Row
from gpucnn.profiling.spans import TRANSFERS, Recorder, Span, by_step
from gpucnn.profiling.static import StaticReport
from gpucnn.profiling.steps import run_steps
from gpucnn.profiling.work import work
from gpucnn.runtime.emulator import EmulatorLauncher
from gpucnn.training.trainer import Trainer

TABLES: dict[str, Callable[[Span, str], tuple[str, ...]]] = {
    "layers": lambda span, method: (span.layer, span.phase, "", "", ""),
    "methods": lambda span, method: ("", "", method, "", ""),
    "kernels": lambda span, method: (
        ("", "", method, span.name, variant(span.launch)) if span.launch else ()
    ),
    "calls": lambda span, method: (span.layer, span.phase, method, "", ""),
}
"""Of a profile, by the key of the row that a leaf belongs to."""


def predict_training(
    trainer: Trainer, gpu: Gpu, steps: int, meta: Mapping[str, Any]
) -> tuple[Profile, list[Span]]:
    """Run `steps` steps on a checked emulator: what they would take on `gpu`, and their spans.

    The trainer must have so many steps before it; it stops after these.
    """
    launcher = trainer.ops.launcher  # type: ignore[attr-defined]
    assert isinstance(launcher, EmulatorLauncher), "only the emulator counts"
    assert launcher.checked, "only checked mode counts"
    recorder, counter = Recorder(), CountingObserver(launcher)
    # Outside of a block, each array is counted, and begins where a GPU's would.
    trainer.arena.close()
    with counted_arrays(launcher, held_before(trainer)) as arrays:
        memory = MemoryObserver(arrays)
        run_steps(trainer, 0, steps, recorder, counter, memory)
    spans = recorder.spans
    predictions = predict_spans(spans, counter.launches, gpu)
    kernels = {span.launch.kernel for span in spans if span.launch is not None}
    # A changed copy of the kernels is not what NVRTC would compile.
    static = StaticReport(kernels if launcher.folder is None else (), gpu.arch)
    facts = {
        **describe(trainer.ops),
        "device_name": "every access checked and counted",
        "warmup": 0,
        "steps": steps,
        "gpu": gpu.title,
        "arch": gpu.arch,
        "assumptions": list(assumptions(gpu)),
        "static_report": static.missing or f"NVRTC for {gpu.arch}",
        **meta,
    }
    names = {layer.path or "model": layer.name for layer in trainer.model.walk()}
    sheet = Ceilings(gpu.memory_gb_s, gpu.fp32_tflops, gpu.title, f"data sheet: {gpu.source}")

    def build(times: Mapping[int, int]) -> tuple[Profile, list[Span]]:
        timed = laid_out(spans, times)
        return build_profile(
            timed,
            facts,
            ceilings=sheet,
            # What a layer left behind was summed up over the steps.
            memory=[replace(m, kept_bytes=m.kept_bytes // steps) for m in memory.rows()],
            layer_names=names,
            resources=static.resources,
        ), timed

    likely, timed = build({i: p.likely for i, p in predictions.items()})
    best, _ = build({i: p.best for i, p in predictions.items()})
    worst, _ = build({i: p.worst for i, p in predictions.items()})
    limits = _limits(timed, predictions)
    tables: dict[str, Any] = {
        name: tuple(
            replace(row, low_ms=low.ms, high_ms=high.ms, limit=limits[name][_key(row)])
            for row, low, high in _together(name, likely, best, worst)
        )
        for name in TABLES
    }
    return replace(
        likely,
        **tables,
        # Predicted kernels follow each other without a host that could wait.
        waits=(),
        best_ms=best.step_ms,
        worst_ms=worst.step_ms,
        predicted=True,
        traffic=tuple(counter.traffic()),
        lines=tuple(counter.lines()),
    ), timed


def predict_spans(
    spans: Sequence[Span], launches: Sequence[Counted], gpu: Gpu
) -> dict[int, Prediction]:
    """The place of each kernel, fill and copy on the device -> its prediction.

    A method's FLOPs are its kernels' in the proportion of the bytes that their threads ask for.
    """
    places = [i for i, span in enumerate(spans) if span.kind == "kernel"]
    counted = dict(zip(places, launches, strict=True))
    asked: dict[int, int] = {}
    for i, launch in counted.items():
        asked[spans[i].parent] = asked.get(spans[i].parent, 0) + launch.asked
    found = {}
    for i, span in enumerate(spans):
        if i in counted:
            launch, method = counted[i], spans[span.parent]
            share = launch.asked / asked[span.parent] if asked[span.parent] else 0.0
            flops = work(method.name, method.call).flops if method.call else 0
            found[i] = predict(replace(launch.counts, flops=share * flops), gpu)
        elif span.kind == "method" and i not in asked and span.call is not None:
            nbytes = work(span.name, span.call).bytes
            if nbytes and span.name in TRANSFERS:
                found[i] = copied(nbytes, gpu)
    return found


def laid_out(spans: Sequence[Span], times: Mapping[int, int]) -> list[Span]:
    """The spans in predicted time: those in `times` one after the other, the others around them."""
    now = 0
    begins, ends = [0] * len(spans), [0] * len(spans)
    for i, span in enumerate(spans):
        begins[i], now = now, now + times.get(i, 0)
        ends[i] = now
        around = span.parent
        while around >= 0:
            ends[around] = now
            around = spans[around].parent
    return [
        replace(
            span,
            start_ns=begins[i],
            end_ns=ends[i],
            device=(begins[i], ends[i]) if i in times or span.kind == "step" else None,
        )
        for i, span in enumerate(spans)
    ]


Key = tuple[str, ...]


def _key(row: Row) -> Key:
    return row.layer, row.phase, row.method, row.kernel, row.variant


def _together(table: str, *profiles: Profile) -> list[tuple[Row, ...]]:
    """Each row of the first profile with the same row of the others."""
    first, *others = ({_key(row): row for row in getattr(p, table)} for p in profiles)
    return [(row, *(other[key] for other in others)) for key, row in first.items()]


def _limits(
    spans: Sequence[Span], predictions: Mapping[int, Prediction]
) -> dict[str, dict[Key, str]]:
    """table -> row -> what most of its predicted time is limited by."""
    sums: dict[str, dict[Key, dict[str, int]]] = {name: {} for name in TABLES}
    for step in by_step(spans):
        for leaf in leaves(spans, step):
            found = predictions[leaf.place]
            method = spans[leaf.method if leaf.method >= 0 else leaf.place].name
            for name, key_of in TABLES.items():
                by_limit = sums[name].setdefault(key_of(leaf.span, method), {})
                by_limit[found.limit] = by_limit.get(found.limit, 0) + found.likely
    return {
        name: {key: max(by, key=lambda limit: by[limit]) for key, by in rows.items()}
        for name, rows in sums.items()
    }
