"""Profiles to draw and to write pages of: as usual, with hostile names, of large networks."""

from dataclasses import replace

from gpucnn.profiling.access import LineAccess, Traffic
from gpucnn.profiling.profile import Ceilings, Gap, LayerMemory, Profile, Row
from tests.profiling.test_profile_files import profile

HOSTILE = """<script>alert("1")</script> & 'é' $x_1$ 漢 ]]>"""


def named(name: str) -> Profile:
    """The usual profile, with `name` wherever a user may choose one."""
    usual = profile()
    meta = {**usual.meta, "config": name, "device_name": name, "command": name, "gpu": name}
    names = {path: name for path in usual.layer_names}
    return replace(usual, meta=meta, layer_names=names)


def predicted() -> Profile:
    """As the emulator makes it, for a GPU called "a gpu"."""
    usual = profile()
    meta = {**usual.meta, "device": "emulator", "gpu": "a gpu", "assumptions": ["one", "two"]}
    line = LineAccess(
        kernel="k", place="kernels/k.cu:40", caller=HOSTILE, text="y[i] = x[32 * i];",
        space="global", access="load", size=4, requests=1000, units=32000, bytes=128000,
        per_request=32.0, least_per_request=4.0,
    )  # fmt: skip
    good = replace(line, place="kernels/k.cu:41", text="a < b && c", units=4000, per_request=4.0)
    return replace(
        usual,
        predicted=True,
        meta={**meta, "static_report": "none", "warmup": 0},
        best_ms=(0.5,),
        worst_ms=(7.25,),
        waits=(),
        traffic=(Traffic("k", 2.0, 3_000_000, 1_000_000, 1_500_000, 500_000),),
        lines=(good, line),
    )


def row(layer: str, phase: str, method: str, ms: float, share: float, rate: float = 0.5) -> Row:
    """`rate` is its intensity and its TFLOP/s: points of a diagonal."""
    return Row(
        layer, phase, method, "", "", 1.0, ms, ms, ms, share,
        flops=1e9 * ms * rate, bytes=1e9 * ms, tflops=rate, gb_s=1000.0, intensity=rate,
        compute_percent=50 * rate, memory_percent=40.0, limit="memory",
    )  # fmt: skip


def large(layers: int) -> Profile:
    """A network of so many layers, one of them slow; a container with gaps alone."""
    paths = [f"model.layers.{i}" for i in range(layers)]
    ms = {path: 1234.5 if i == 2 else 0.5 + i % 7 for i, path in enumerate(paths)}
    step = 2 * sum(ms.values())
    rows = [row(path, phase, "", ms[path], ms[path] / step)
            for phase in ("forward", "backward") for path in paths]  # fmt: skip
    usual = profile()
    return replace(
        usual,
        step_ms=(step,),
        layers=tuple(rows),
        methods=tuple(
            row("", "", f"method_{i}", step / 20, 0.05, 0.4 + 0.01 * (i % 5)) for i in range(20)
        ),
        gaps=(Gap(paths[0], "forward", "data wait", 0.25, 0.1), Gap("model", "forward", "x", 1, 0)),
        memory=tuple(LayerMemory(path, "forward", 1 << 20, 1 << 10) for path in paths),
        ceilings=Ceilings(2000.0, 2.0, "device", "a data sheet"),
        layer_names={"model": "sequential", **{path: "conv2d" for path in paths}},
    )
