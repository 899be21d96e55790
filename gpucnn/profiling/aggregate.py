"""From spans to a Profile: times by layer, method and kernel, rates, and what limits them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gpucnn.profiling.intervals import DATA_WAIT, gaps, kind, leaves
from gpucnn.profiling.limits import limit_of
from gpucnn.profiling.profile import Ceilings, Gap, LayerMemory, Profile, Row
from gpucnn.profiling.rules import Work
from gpucnn.profiling.spans import Launch, Span, by_step
from gpucnn.profiling.waits import find_waits
from gpucnn.profiling.work import work

Resources = Callable[[Launch], Mapping[str, Any]]
"""A launch's registers, shared_bytes and occupancy, as fields of a Row; {} where unknown."""


@dataclass(frozen=True)
class Item:
    """A leaf of a step, and the work of its method."""

    step: int
    layer: str
    phase: str
    method: str
    kernel: str
    variant: str
    ns: int
    first: bool
    """Whether it is its method's first leaf, which stands for the call and its work."""
    whole: bool
    """Whether it is its method's only leaf."""
    work: Work
    launch: Launch | None


Key = tuple[str, str, str, str, str]
"""layer, phase, method, kernel, variant; "" where a row sums over them."""


def items(spans: Sequence[Span]) -> list[Item]:
    """The leaves of all steps, in order."""
    found = []
    for number, step in enumerate(by_step(spans)):
        work_of: dict[int, list[Any]] = {}
        for leaf in leaves(spans, step):
            work_of.setdefault(leaf.method if leaf.method >= 0 else leaf.place, []).append(leaf)
        for place, group in work_of.items():
            method = spans[place]
            done = Work(0, 0) if method.call is None else work(method.name, method.call)
            for i, leaf in enumerate(group):
                launch = leaf.span.launch
                found.append(
                    Item(
                        number,
                        leaf.span.layer,
                        leaf.span.phase,
                        method.name,
                        leaf.span.name if launch else "",
                        variant(launch),
                        leaf.ns,
                        i == 0,
                        len(group) == 1,
                        done if i == 0 else Work(0, 0),
                        launch,
                    )
                )
    return found


def variant(launch: Launch | None) -> str:
    """A kernel's type and macros, as "float TILE_M=64 TILE_N=64"; "" without a launch."""
    if launch is None:
        return ""
    macros = dict(launch.kernel.macros)
    scalar = macros.pop("SCALAR", "")
    return " ".join([scalar, *(f"{name}={value}" for name, value in macros.items())]).strip()


def build_profile(
    spans: Sequence[Span],
    meta: Mapping[str, Any],
    *,
    plain_ms: Sequence[float] = (),
    ceilings: Ceilings | None = None,
    memory: Sequence[LayerMemory] = (),
    layer_names: Mapping[str, str] | None = None,
    resources: Resources = lambda launch: {},
) -> Profile:
    """The profile of the steps in `spans`, of which there must be at least one."""
    steps = by_step(spans)
    step_ns = np.array([_length(spans[step[0]]) for step in steps], float)
    found, idle = items(spans), [gaps(spans, step) for step in steps]
    busy_ns = np.zeros(len(steps))
    for item in found:
        busy_ns[item.step] += item.ns
    idle_ns = np.array([sum(ns for _, ns in gap) for gap in idle], float)
    kernels = [item for item in found if item.kernel]
    on_device = spans[0].device is not None
    table = _Table(len(steps), float(np.median(step_ns)), ceilings, on_device)
    kinds = {k: _median(ns, len(steps)) for k, ns in _by_place(idle, kind).items()}
    layer_gaps = _by_place(idle, lambda place: place[:2])
    layers = [
        replace(row, gap_ms=_median(layer_gaps.pop((row.layer, row.phase), {}), len(steps)))
        for row in table.rows(found, lambda i: (i.layer, i.phase, "", "", ""))
    ]
    return Profile(
        meta=dict(meta),
        step_ms=tuple((step_ns / 1e6).tolist()),
        plain_ms=tuple(plain_ms),
        busy_ms=float(np.median(busy_ns)) / 1e6,
        gap_ms=float(np.median(idle_ns)) / 1e6,
        data_wait_ms=kinds.get(DATA_WAIT, 0.0),
        accounted=float(np.median(busy_ns / np.maximum(step_ns - idle_ns, 1))),
        layers=tuple(table.limited(layers)),
        methods=tuple(
            _longest(table.limited(table.rows(found, lambda i: ("", "", i.method, "", ""))))
        ),
        kernels=tuple(
            _longest(
                table.with_resources(
                    table.rows(kernels, lambda i: ("", "", i.method, i.kernel, i.variant)),
                    kernels,
                    resources,
                )
            )
        ),
        calls=tuple(
            table.limited(table.rows(found, lambda i: (i.layer, i.phase, i.method, "", "")))
        ),
        gap_kinds=kinds,
        gaps=tuple(_gap_rows(idle, len(steps), table.step_ns)),
        waits=tuple(find_waits(spans)),
        memory=tuple(memory),
        ceilings=ceilings,
        layer_names=dict(layer_names or {}),
    )


class _Table:
    """Makes rows of items that share a key."""

    def __init__(self, steps: int, step_ns: float, ceilings: Ceilings | None, on_device: bool):
        self.steps, self.step_ns = steps, step_ns
        self.ceilings, self.on_device = ceilings, on_device

    def rows(self, found: Sequence[Item], key: Callable[[Item], Key]) -> list[Row]:
        """In the order in which the keys first appear."""
        groups: dict[Key, list[Item]] = {}
        for item in found:
            groups.setdefault(key(item), []).append(item)
        return [self._row(k, group) for k, group in groups.items()]

    def _row(self, key: Key, group: Sequence[Item]) -> Row:
        ns = np.zeros(self.steps)
        for item in group:
            ns[item.step] += item.ns
        low, mid, high = np.percentile(ns, (25, 50, 75))
        by_kernel = bool(key[3])
        calls = sum(1 for item in group if by_kernel or item.first) / self.steps
        row = Row(
            *key,
            calls=calls,
            ms=float(mid) / 1e6,
            low_ms=float(low) / 1e6,
            high_ms=float(high) / 1e6,
            share=float(mid) / self.step_ns if self.step_ns else 0.0,
        )
        if by_kernel and not all(item.whole for item in group):
            return row
        flops = sum(item.work.flops for item in group) / self.steps
        moved = sum(item.work.bytes for item in group) / self.steps
        return self._rated(row, flops, moved)

    def _rated(self, row: Row, flops: float, moved: float) -> Row:
        if not row.ms or not (flops or moved):
            return replace(row, flops=flops, bytes=moved)
        tflops, gb_s, c = flops / row.ms / 1e9, moved / row.ms / 1e6, self.ceilings
        return replace(
            row,
            flops=flops,
            bytes=moved,
            tflops=tflops,
            gb_s=gb_s,
            intensity=flops / moved if moved else None,
            compute_percent=100 * tflops / c.gemm_tflops if c else None,
            memory_percent=100 * gb_s / c.copy_gb_s if c else None,
        )

    def limited(self, rows: Sequence[Row]) -> list[Row]:
        """With the word for what limits each."""
        c, device = self.ceilings, self.on_device
        return [replace(row, limit=limit_of(row, c, on_device=device)) for row in rows]

    def with_resources(
        self, rows: Sequence[Row], found: Sequence[Item], resources: Resources
    ) -> list[Row]:
        """The rows of kernels, with what the first launch of each takes of the device."""
        launches: dict[tuple[str, str], Launch] = {}
        for item in found:
            if item.launch is not None:
                launches.setdefault((item.kernel, item.variant), item.launch)
        full = []
        for row in rows:
            launch = launches[row.kernel, row.variant]
            full.append(replace(row, block=launch.block, **resources(launch)))
        return self.limited(full)


def _length(step: Span) -> int:
    start, end = step.device or (step.start_ns, step.end_ns)
    return end - start


def _longest(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: -row.ms)


Idle = Sequence[Sequence[tuple[tuple[str, str, str], int]]]


def _by_place(idle: Idle, key: Callable[[tuple[str, str, str]], Any]) -> dict[Any, dict[int, int]]:
    """key -> step -> nanoseconds."""
    found: dict[Any, dict[int, int]] = {}
    for number, step in enumerate(idle):
        for place, ns in step:
            by_number = found.setdefault(key(place), {})
            by_number[number] = by_number.get(number, 0) + ns
    return found


def _median(by_number: Mapping[int, int], steps: int) -> float:
    """Milliseconds; a step that has none counts as 0."""
    return float(np.median([by_number.get(number, 0) for number in range(steps)])) / 1e6


def _gap_rows(idle: Idle, steps: int, step_ns: float) -> list[Gap]:
    rows = []
    for (layer, phase, where), by_number in _by_place(idle, lambda place: place).items():
        ms = _median(by_number, steps)
        rows.append(Gap(layer, phase, where, ms, ms * 1e6 / step_ns if step_ns else 0.0))
    return sorted(rows, key=lambda gap: -gap.ms)
