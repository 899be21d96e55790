"""How tables, pictures and pages call things, and how they write figures."""

from gpucnn.profiling.profile import Profile

OUTSIDE = {"data": "batch", "loss": "loss", "update": "update", "": "step"}
"""What goes on outside of the layers, by phase."""

CONTAINERS = ("sequential", "layers", "residual", "concat")
"""Parts of a layer's path that a reader of the table can do without."""

SMALL_TFLOPS = 1.0
"""A device below it is told in GFLOP/s."""


def place_label(profile: Profile, layer: str, phase: str) -> str:
    """A layer's pass, or what goes on outside of the layers."""
    if not layer:
        return OUTSIDE.get(phase, phase)
    return f"{layer_label(profile, layer)} {phase}"


def layer_label(profile: Profile, path: str) -> str:
    """A layer's place and name, as "3.body.0 conv2d"."""
    if path == "model":
        return path
    parts = [part for part in path.split(".")[2:] if part not in CONTAINERS]
    return f"{'.'.join(parts)} {profile.layer_names.get(path, '')}".strip()


def variant_label(variant: str) -> str:
    """A kernel's type and macros, tiles in short: "float 32x64x8 4x4", "float ARGMAX=uint8"."""
    sizes: dict[str, list[str]] = {}
    words = []
    for word in variant.split():
        name, equals, value = word.partition("=")
        if name.startswith(("TILE_", "THREAD_")):
            sizes.setdefault(name.split("_")[0], []).append(value)
        else:
            words.append(name + equals + value)
    return " ".join([*words, *("x".join(values) for values in sizes.values())])


def figure(value: float) -> str:
    """Three significant digits, thousands apart; never an exponent."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) < 0.0005:
        return "<0.001"
    text = f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 1 else ""
    return text or f"{value:.3f}"


def milliseconds(value: float) -> str:
    """To the microsecond, and coarser from 10 ms on."""
    return f"{value:.3f}" if value < 10 else f"{value:,.1f}"


def mebibytes(value: int) -> str:
    return f"{value / 2**20:,.1f}"


def flop_rate(tflops: float) -> str:
    """In the unit that fits."""
    small = tflops < SMALL_TFLOPS
    return f"{figure(1000 * tflops)} GFLOP/s" if small else f"{figure(tflops)} TFLOP/s"
