"""Checked mode: each kernel of tests/runtime/kernels shows one hazard, and clean when FIXED."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn.errors import KernelError
from gpucnn.runtime.emulator import EmulatorLauncher
from gpucnn.runtime.emulator_build import build_kernel
from gpucnn.runtime.emulator_checked import GUARD
from gpucnn.runtime.emulator_symbols import shared_variables
from gpucnn.runtime.launch import Kernel
from gpucnn.runtime.source import kernels_folder
from tests.runtime.examples import FOLDER, example, launcher

# example, the check that finds it, the line it lies on, words of the report
HAZARDS = [
    ("missing_barrier", "racecheck", 10, "of tile, after thread"),
    ("missing_second_barrier", "racecheck", 8, "of tile, after thread"),
    ("missing_syncwarp", "racecheck", 10, "of tile, after thread"),
    ("divergent_barrier", "synccheck", 13, "meets this barrier at another one"),
    ("read_outside", "memcheck", 9, "load of 4 bytes outside of every array"),
    ("write_outside", "memcheck", 9, "store of 4 bytes outside of every array"),
    ("next_variable", "memcheck", 17, "0 bytes after twice"),
    ("null_pointer", "memcheck", 8, "0 bytes from a null pointer"),
    ("misaligned", "memcheck", 10, "which is not a multiple of 16"),
    ("uninitialised_shared", "initcheck", 11, "byte 0 of tile"),
    ("uninitialised_global", "initcheck", 8, "byte 0 of y"),
    ("blocks_on_one_address", "racecheck", 10, "and block (0, 0, 0)"),
    ("shuffle_mask", "synccheck", 15, "of mask 0xffffffff"),
    ("shuffle_source", "synccheck", 12, "takes from thread (16, 0, 0)"),
]


def run(name: str, fixed: int) -> Any:
    device = launcher(checked=True)
    x = np.arange(128, dtype=np.float32)
    # Twice as many threads as numbers where the hazard is to go beyond the end.
    y = device.xp.empty(32 if name == "write_outside" else 128, np.float32)
    args: list[Any] = [x, y]
    if name in ("read_outside", "write_outside"):
        args = [x[:64].copy(), y, 64 if name == "read_outside" else 32]
    if name == "null_pointer":
        args = [x, None, y]
    grid = 2 if name == "blocks_on_one_address" else 1
    threads = 16 if name == "misaligned" else 64
    kernel = example(name, ("FIXED", str(fixed)))
    device.launch(kernel, (grid, 1, 1), (threads, 1, 1), args)
    return y


@pytest.mark.parametrize(("name", "check", "line", "words"), HAZARDS, ids=lambda v: str(v))
def test_a_hazard_is_caught(name: str, check: str, line: int, words: str) -> None:
    with pytest.raises(KernelError) as caught:
        run(name, fixed=0)
    message = str(caught.value)
    assert message.startswith(f"{name}: ")
    assert f"{check}: " in message
    assert f"kernels/{name}.cu:{line}" in message
    assert words in message


@pytest.mark.parametrize("name", [hazard[0] for hazard in HAZARDS])
def test_the_corrected_kernel_is_clean(name: str) -> None:
    run(name, fixed=1)


def test_every_example_is_tested() -> None:
    others = {"transpose", "block_sum", "multiply_add", "last_block_wins"}
    assert {path.stem for path in FOLDER.glob("*.cu")} == {h[0] for h in HAZARDS} | others


def transpose(*macros: tuple[str, str]) -> tuple[EmulatorLauncher, Any, Any]:
    device = launcher(checked=True)
    x = np.arange(1024, dtype=np.float32).reshape(32, 32)
    y = device.xp.empty((32, 32), np.float32)
    device.launch(example("transpose", *macros), (1, 1, 1), (32, 32, 1), [x, y])
    return device, x, y


def wavefronts(device: EmulatorLauncher) -> dict[str, float]:
    return {m.access: m.per_request for m in device.metrics if m.space == "shared"}


def test_a_transpose_has_the_bank_conflicts_of_the_textbook() -> None:
    device, x, y = transpose()
    np.testing.assert_array_equal(y, x.T)
    assert wavefronts(device) == {"store": 1, "load": 32}
    shared = [m for m in device.metrics if m.space == "shared"]
    assert sum(m.units for m in shared) / sum(m.requests for m in shared) == 16.5
    # A pitch of 33 puts a column's 32 numbers on 32 banks.
    assert wavefronts(transpose(("PITCH", "33"))[0]) == {"store": 1, "load": 1}


def test_global_memory_is_counted_in_sectors() -> None:
    device, _, _ = transpose()
    assert {m.access: m.per_request for m in device.metrics if m.space == "global"} == {
        "load": 4,
        "store": 4,
    }
    (total,) = device.kernel_metrics
    assert (total.launches, total.loaded, total.stored) == (1, 4096, 4096)
    assert (total.minimum_loaded, total.minimum_stored) == (4096, 4096)


def test_the_report_is_a_table_of_both() -> None:
    device, _, _ = transpose()
    rows = [" ".join(line.split()) for line in device.report().splitlines()]
    assert "transpose 1 4096 4096 4096 4096" in rows
    assert "kernels/transpose.cu:21 shared load 4 B 32 32.00 1.00" in rows
    assert "kernels/transpose.cu:17 global load 4 B 32 4.00 4.00" in rows


def test_a_transpose_without_its_barrier_races() -> None:
    device = launcher(checked=True)
    x, y = np.zeros((2, 32, 32), np.float32)
    kernel = example("transpose", ("BARRIER", "0"))
    with pytest.raises(KernelError, match="racecheck"):
        device.launch(kernel, (1, 1, 1), (32, 32, 1), [x, y])
    # Off the diagonal, every number is written by one thread and read by another.
    assert sum(f.count for f in device.findings if f.check == "racecheck") == 32 * 31
    assert {f.line for f in device.findings} <= {f"kernels/transpose.cu:{n}" for n in (17, 21)}


def test_a_line_of_a_float4_is_one_access() -> None:
    device = launcher(checked=True)
    x, y = np.arange(128, dtype=np.float32), np.empty(32, np.float32)
    device.launch(example("misaligned", ("FIXED", "1")), (1, 1, 1), (32, 1, 1), [x, y])
    loads = [m for m in device.metrics if m.access == "load"]
    assert [(m.size, m.requests, m.units) for m in loads] == [(16, 1, 16)]


def test_what_the_host_wrote_is_initialised() -> None:
    device = launcher(checked=True)
    x, y = np.ones(64, np.float32), device.xp.empty(64, np.float32)
    y[...] = 2
    device.launch(example("uninitialised_global", ("FIXED", "0")), (1, 1, 1), (64, 1, 1), [x, y])
    assert (y == 3).all()


def test_a_launch_after_a_failed_one_is_clean() -> None:
    with pytest.raises(KernelError):
        run("shuffle_mask", fixed=0)
    with pytest.raises(KernelError):
        run("read_outside", fixed=0)
    assert (run("missing_barrier", fixed=1)[:64] == np.arange(64)[::-1]).all()


@pytest.mark.parametrize(
    "path", sorted({*kernels_folder().glob("*.cu"), *FOLDER.glob("*.cu")}), ids=lambda p: p.stem
)
def test_every_shared_variable_lies_in_the_section_of_shared_memory(path: Path) -> None:
    # g++ drops the section in templates without a word: such a variable would not be checked. And
    # an index that runs out of one variable must not run into the next.
    if "__shared__" not in path.read_text():
        pytest.skip("no __shared__ variable")
    macros = (("SCALAR", "float"), ("FIXED", "1"))[: 2 if path.parent == FOLDER else 1]
    kernel = Kernel(path.stem, path.stem, macros, path.parent)
    library = build_kernel(path.stem, kernel.source, kernel.macros, checked=True)
    variables = sorted(shared_variables(str(library)), key=lambda variable: variable.offset)
    assert variables
    assert {variable.section for variable in variables} == {"gpucnn_shared"}
    for one, other in pairwise(variables):
        assert other.offset - (one.offset + one.size) >= GUARD, (one.name, other.name)
