"""A benchmark's rows: timed, wrong, failed, left out; and its files."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn.errors import ConfigError, DataError, ShapeError
from gpucnn.ops.numpy_ops import NumpyOps
from gpucnn.profiling.benchmark import chart, tables
from gpucnn.profiling.benchmark.device import Device
from gpucnn.profiling.benchmark.results import (
    FAILED,
    LEFT_OUT,
    OURS,
    TIMED,
    WRONG,
    Benchmark,
    Timing,
    read_benchmark,
    write_benchmark,
)
from gpucnn.profiling.benchmark.run import Bench, Settings, chosen
from gpucnn.profiling.benchmark.timers import COLD, WARM, HostTimer, Stopwatch
from gpucnn.profiling.pictures import can_draw
from gpucnn.profiling.profile import Ceilings
from tests.profiling.benchmark.made_up import CEILINGS, TABLE, beside_torch, result, row, timing

FAST = Settings(repeats=7)


def rows(ops: Any, only: str, settings: Settings = FAST, table: Any = TABLE) -> list[Any]:
    bench = Bench(Device(ops), NumpyOps(), None, CEILINGS, settings)
    return [bench.row(each) for each in chosen(table, replace(settings, only=only))]


def test_a_row_on_the_cpu() -> None:
    (found,) = rows(NumpyOps(), "linear_forward")
    assert (found.status, found.oracle, found.sizes) == (
        TIMED, "reference float64, cpu float64", (5, 33, 17)
    )  # fmt: skip
    assert found.reference_sizes == (5, 33, 17)
    (time,) = found.times
    assert (time.by, time.cache, time.repeats) == (OURS, WARM, 7)
    assert 0 < time.low <= time.ms <= time.high
    assert found.flops == 2 * 5 * 33 * 17 + 5 * 17
    assert found.bytes == 4 * (5 * 33 + 17 * 33 + 17 + 5 * 17)
    assert found.rates(WARM)[0] == pytest.approx(found.flops / time.ms / 1e9)


def test_a_row_beside_pytorch() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")
    bench = Bench(Device(NumpyOps()), NumpyOps(), torch, CEILINGS, FAST)
    first, block = (
        bench.row(each)
        for each in chosen(TABLE, replace(FAST, only="linear_forward|drop_block2d"))[::-1]
    )
    assert [time.by for time in first.times] == ["gpucnn", "torch"]
    assert first.ratio(WARM) == first.times[1].ms / first.times[0].ms
    assert [time.by for time in block.times] == ["gpucnn"]
    assert block.ratio(WARM) is None


def test_a_wrong_result_is_not_timed() -> None:
    ops = NumpyOps()
    calls = []

    def wrong(*args: Any, **options: Any) -> Any:
        calls.append(1)
        return NumpyOps().linear_forward(*args, **options) + np.float32(0.1)

    ops.linear_forward = wrong  # type: ignore[method-assign]
    bad, good = rows(ops, "linear")[:2]
    assert (bad.status, bad.times, calls) == (WRONG, (), [1])
    assert "wrong result: linear_forward fc, result 0 at (" in bad.note
    assert good.status == TIMED


@pytest.mark.parametrize("error", [ShapeError("no"), MemoryError("no"), RuntimeError("no")])
def test_a_row_that_fails_fails_alone(error: Exception) -> None:
    def broken(*args: Any, **options: Any) -> Any:
        raise error

    ops = NumpyOps()
    ops.linear_forward = broken  # type: ignore[method-assign]
    bad, good = rows(ops, "linear")[:2]
    assert (bad.status, bad.note) == (FAILED, f"{type(error).__name__}: no")
    assert good.status == TIMED


def test_what_takes_too_long_or_too_much_is_left_out_unseen() -> None:
    class Unused(NumpyOps):
        def linear_forward(self, *args: Any, **options: Any) -> Any:
            raise AssertionError

    large = {"linears": {"large": (1_000_000, 4096, 4096)}}
    (slow,) = rows(Unused(), "linear_forward", table=large)
    # 2 · 10⁶ · 4096² at 0.1 TFLOP/s, 11 calls, three times that.
    assert slow.status == LEFT_OUT
    assert slow.note.startswith("about 111")
    assert slow.note.endswith("s for 11 calls, --max-seconds is 10")
    patient = replace(FAST, max_seconds=1e9)
    (big,) = rows(Unused(), "linear_forward", replace(patient, max_bytes=2**30), large)
    assert big.note == "about 91.7 GiB, --max-bytes is 1073741824"


def test_a_slow_row_has_fewer_repeats() -> None:
    """The estimate took it for faster than it was."""
    endless = Ceilings(1e12, 1e12, "a device", "made up")
    settings = Settings(repeats=50, max_seconds=1e-9, only="linear_forward")
    bench = Bench(Device(NumpyOps()), NumpyOps(), None, endless, settings)
    found = bench.row(*chosen(TABLE, settings))
    assert found.times[0].repeats == 7
    (found,) = rows(NumpyOps(), "linear_forward", Settings(repeats=50))
    assert found.times[0].repeats == 50


def test_half_of_the_free_memory_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Device, "free_bytes", lambda self: 2**13)
    (found,) = rows(NumpyOps(), "linear_forward")
    assert found.status == LEFT_OUT
    assert "half of the free memory is 0.0 GiB" in found.note
    monkeypatch.undo()
    assert Device(NumpyOps()).free_bytes() > 2**20


def test_fewer_images() -> None:
    (found,) = chosen({"linears": {"fc": (64, 8, 8)}}, Settings(images=3, only="cross_entropy"))
    assert found.case.sizes == (3, 8, 8)
    planned = chosen({"arenas": {"all": (64,)}}, Settings(images=3))
    assert {each.case.sizes for each in planned} == {(64,)}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (Settings(repeats=6), "--repeats must be at least 7, got 6"),
        (Settings(max_seconds=0), "--max-seconds must be above 0, got 0"),
        (Settings(max_seconds=float("nan")), "--max-seconds must be above 0, got nan"),
        (Settings(max_bytes=0), "--max-bytes must be at least 1, got 0"),
        (Settings(images=0), "--images must be at least 1, got 0"),
        (Settings(only="("), "--only must be a regular expression, got '('"),
        (Settings(only="conv3d"), "--only 'conv3d' is found in no method and shape"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_setting_that_makes_no_sense(settings: Settings, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        chosen(TABLE, settings)
    assert str(error.value).startswith(words)


def test_a_shape_that_does_not_fit_is_named() -> None:
    table = {"convolutions": {"odd": (2, 3, 4, 4, 5, 7, 7, 1, 0, 1, 1)}}
    with pytest.raises(ShapeError, match=r"convolutions.odd \[2, 3, 4, 4, 5, 7"):
        chosen(table, Settings())


def test_quartiles() -> None:
    assert Timing.of("a", "b", [5.0, 1.0, 2.0, 4.0, 3.0]) == Timing("a", "b", 3.0, 2.0, 4.0, 5)


class Tape(HostTimer):
    """A device that takes 1 ms a flush, and writes down what it is told."""

    flush_ms = 1.0

    def __init__(self) -> None:
        self.told: list[str] = []

    def flush(self) -> None:
        self.told.append("flush")

    def event(self) -> int:
        self.told.append("event")
        return 0


def test_the_order_of_a_cold_and_a_warm_time() -> None:
    tape = Tape()
    watch = Stopwatch(lambda: tape.told.append("call"), tape)
    for cache, order in (
        (COLD, ["flush", "event", "call", "event"]),
        (WARM, ["flush", "flush", "call", "event", "call", "event"]),
    ):
        tape.told.clear()
        watch.once(cache)
        assert tape.told == order


def test_a_result_survives_its_file(tmp_path: Path) -> None:
    before = result(
        beside_torch("a", 1.0, 2.0, oracle="o", error=1e-7, reference_sizes=(2, 3)),
        row("b", status=WRONG, note="n"),
    )
    path = tmp_path / "new" / "a.json"
    write_benchmark(path, before)
    assert read_benchmark(path) == before
    (derived,) = (r["derived"] for r in json.loads(path.read_text())["rows"] if "derived" in r)
    assert derived["warm"] == {
        "tflops": 1.0, "gb_s": 10.0, "percent_of_ceiling": 1000.0, "torch_over_gpucnn": 2.0
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot read the benchmark"),
        ("[]", "not a file of gpucnn benchmark"),
        ('{"benchmark": 2}', "not a file of gpucnn benchmark, or of another version"),
        ('{"benchmark": 1}', "a damaged file of gpucnn benchmark: 'ceilings'"),
        ('{"benchmark": 1, "ceilings": null, "rows": [{}]}', "damaged"),
        ('{"benchmark": 1, "ceilings": null, "rows": 3}', "damaged"),
        (None, "No such file"),
    ],
)
def test_a_file_that_is_damaged(text: str | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(DataError) as error:
        read_benchmark(path)
    assert words in str(error.value)
    assert "bad.json" in str(error.value)


def test_the_words_around_the_table() -> None:
    found = result(
        beside_torch("a", 1.0, 2.0, oracle="the first, the second"),
        beside_torch("b", 1.0, 0.5, oracle="the first, the second"),
        row("c", status=WRONG, note="n1"),
        row("d", status=LEFT_OUT, note="n2"),
        load=3.5,
        images=8,
    )
    text = "\n".join([*tables.heading(found), *tables.summary(replace(found, finished=False))])
    for words in (
        "NOT A QUIET MACHINE (load 3.5 on 4 cores)",
        "at most 8 images",
        "WRONG, conv2d_forward c: n1",
        "left out 1 of 4 by estimate:\n  conv2d_forward d: n2",
        "conv2d_forward 1.00",
        "interrupted",
        "checked against the first, the second: 2",
        "2 timed, 1 wrong, 1 left out",
    ):
        assert words in text
    alone = tables.heading(result(against="none", why_alone="PyTorch is not installed"))
    assert "no ratios: PyTorch is not installed" in alone
    assert not any("QUIET" in line for line in alone)


@pytest.mark.skipif(not can_draw(), reason="matplotlib is not installed")
def test_the_chart() -> None:
    """A bar a row: taller with more; the ceilings where there is no PyTorch; none for nothing."""
    few = chart.draw(result(beside_torch("a", 1.0, 2.0)))
    methods = [f"conv2d_{which}" for which in ("forward", "backward_input", "backward_weight")]
    many = chart.draw(result(*(beside_torch("$x$", 1.0, 3.0, method=m) for m in methods), load=9.0))
    alone = chart.draw(result(row("a", timing(1.0), timing(2.0, cache="cold"))))
    assert few
    assert many
    assert alone
    assert height(many) > height(few)
    assert chart.draw(result(row("a", status=WRONG))) is None


def height(png: bytes) -> int:
    assert png[:4] == b"\x89PNG"
    return int.from_bytes(png[20:24], "big")


def test_the_pass_of_a_method() -> None:
    assert chart.split_pass("conv2d_backward_input") == ("conv2d", "backward_input")
    assert chart.split_pass("relu_backward") == ("relu", "backward")
    assert chart.split_pass("sgd_update") == ("sgd_update", "one pass")


def test_a_result_is_a_result(tmp_path: Path) -> None:
    assert Benchmark.from_json(result().to_json()) == result()
