"""The pictures: what is in them, that nothing covers anything, and names of every kind."""

import struct
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpucnn.ops.base import Ops
from gpucnn.profiling import layer_times, roofline
from gpucnn.profiling.pictures import draw, shortened
from gpucnn.profiling.placing import Box, Point, place
from gpucnn.profiling.profile import Profile
from gpucnn.profiling.theme import LIGHT, family
from tests.profiling.samples import HOSTILE, large, named, predicted
from tests.profiling.test_profile_files import profile

matplotlib = pytest.importorskip("matplotlib", reason='needs matplotlib: pip install ".[dev]"')

BOUNDS = Box(0, 0, 800, 500)
SIZES = st.tuples(st.floats(0, 800), st.floats(0, 500), st.floats(1, 25), st.floats(10, 150))


@given(st.lists(SIZES, max_size=25))
def test_labels_lie_on_nothing(sizes: list[tuple[float, float, float, float]]) -> None:
    points = [Point(x, y, r, width, 10) for x, y, r, width in sizes]
    obstacle = Box(300, 200, 400, 300)
    found = [box for box in place(points, BOUNDS, [obstacle]) if box is not None]
    assert all(BOUNDS.contains(box) for box in found)
    for box in found:
        assert not box.overlaps(obstacle)
        assert not any(box.overlaps(point.box) for point in points)
    assert not any(a.overlaps(b) for a, b in combinations(found, 2))


def test_a_label_has_its_size_and_is_near_where_there_is_room() -> None:
    (box,) = place([Point(100, 100, 5, 60, 10)], BOUNDS)
    assert box == Box(108, 95, 168, 105)
    (left,) = place([Point(780, 100, 5, 60, 10)], BOUNDS)
    assert left is not None
    assert left.x1 == pytest.approx(772)
    assert place([Point(50, 50, 5, 900, 10)], BOUNDS) == [None]


def texts(data: bytes) -> str:
    return " ".join("".join(node.itertext()) for node in ET.fromstring(data).iter()
                    if node.tag.endswith("}text"))  # fmt: skip


def test_bars_are_in_the_networks_order_and_hold_the_whole_step() -> None:
    found = profile()
    bars = layer_times.bars(found)
    labels = [bar.label for bar in bars]
    assert labels[:3] == ["batch", "0 conv2d", "1 residual"]
    assert labels.index("4 linear") < labels.index("loss") < labels.index("update")
    assert labels.index("layers that compute nothing") > labels.index("4 linear")
    total = sum(row.ms for row in found.layers) + sum(gap.ms for gap in found.gaps)
    assert sum(bar.total for bar in bars) == pytest.approx(total)
    conv = bars[1].ms
    ms = {row.phase: row.ms for row in found.layers if row.layer == "model.layers.0"}
    assert (conv["forward"], conv["backward"]) == (ms["forward"], ms["backward"])


def test_the_layers_of_a_large_network_are_summed_up() -> None:
    whole = layer_times.bars(large(300))
    few = layer_times.fewer(whole)
    assert len(few) == layer_times.MOST
    assert few[-1].label == "and 182 shorter"
    assert sum(bar.total for bar in few) == pytest.approx(sum(bar.total for bar in whole))
    assert max(bar.total for bar in few[:-1]) == max(bar.total for bar in whole)
    assert layer_times.fewer(whole[:5]) == whole[:5]


@pytest.mark.parametrize("layers", [3, 60])
def test_no_text_of_a_picture_covers_another(layers: int) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    for module in (roofline, layer_times):
        figure = module.draw(large(layers), LIGHT)
        FigureCanvasAgg(figure).draw()
        ((axes,), found) = figure.axes, []
        for text in [*axes.texts, *figure.texts, *axes.get_yticklabels()]:
            if text.get_text() and not text.get_rotation():
                box = text.get_window_extent()
                found.append(Box(box.x0, box.y0 + 1, box.x1, box.y1 - 1))
        assert len(found) > min(layers, 15)
        assert not any(a.overlaps(b) for a, b in combinations(found, 2))
        width, height = figure.get_size_inches() * figure.dpi
        assert all(Box(0, 0, width, height).contains(box) for box in found)


def test_the_files() -> None:
    found = draw(profile(), dark=True)
    assert set(found) == {"roofline", "time_by_layer"}
    for data in found.values():
        assert data.startswith(b"\x89PNG\r\n\x1a\n")
        width, height = struct.unpack(">II", data[16:24])
        assert width == 1500
        assert 300 < height < 2000


def test_pictures_name_what_they_show() -> None:
    files = draw(profile(), form="svg")
    assert files == draw(profile(), form="svg"), "the same profile, the same bytes"
    found = {name: texts(data) for name, data in files.items()}
    assert "conv2d_backward_weight" in found["roofline"]
    assert "copy 1.00 GB/s (measured)" in found["roofline"]
    assert "1.body.0 conv2d" in found["time_by_layer"]
    assert all("a.yaml on queue" in text for text in found.values())


def test_predictions_say_so_in_every_picture() -> None:
    found = {name: texts(data) for name, data in draw(predicted(), form="svg").items()}
    assert all("PREDICTED for a gpu, not measured" in text for text in found.values())
    assert "(data sheet)" in found["roofline"]
    assert "(measured)" not in found["roofline"]


def test_the_emulators_times_are_told_as_its_own() -> None:
    own = replace(profile(), ceilings=None, meta={**profile().meta, "device": "emulator"})
    found = draw(own, form="svg")
    assert set(found) == {"time_by_layer"}, "without ceilings there is no roofline"
    assert "say nothing about a GPU" in texts(found["time_by_layer"])


@pytest.mark.parametrize("form", ["png", "svg"])
def test_names_are_text_and_nothing_else(form: str) -> None:
    found = draw(named(HOSTILE), form=form)
    if form == "svg":
        assert HOSTILE in texts(found["roofline"])
        assert shortened(f"0 {HOSTILE}", 34) in texts(found["time_by_layer"])


def no_rates(found: Profile) -> Profile:
    return replace(found, methods=tuple(replace(row, tflops=None) for row in found.methods))


@pytest.mark.parametrize("change", [no_rates, lambda found: replace(found, methods=(), calls=())])
def test_without_rates_there_is_no_roofline(change: Callable[[Profile], Profile]) -> None:
    assert roofline.draw(change(profile()), LIGHT) is None


def test_every_method_has_a_family() -> None:
    assert family("conv2d_backward_bias") == "convolution"
    assert family("softmax_backward") == "activation"
    assert family("softmax_cross_entropy") == "other"
    others = {name for name in dir(Ops) if not name.startswith("_") and family(name) == "other"}
    assert not {name for name in others if "pool" in name or "conv" in name or "relu" in name}


def test_a_long_text_is_shortened_in_the_middle() -> None:
    assert shortened("a" * 20 + "b" * 20, 11) == "aaaaa…bbbbb"
    assert shortened("abc", 3) == "abc"
