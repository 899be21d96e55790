"""The emulator: kernels from .cu files run on NumPy arrays, and its builds."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from gpucnn.errors import DeviceError, KernelError
from gpucnn.runtime import emulator, emulator_build
from gpucnn.runtime.emulator import EmulatorLauncher
from gpucnn.runtime.launch import Kernel
from tests.runtime.examples import FOLDER, example, launcher


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache folder of the test's own."""
    monkeypatch.setenv("GPUCNN_CACHE", str(tmp_path / "cache"))
    for cached in (emulator_build._folder, emulator_build.compiler):
        cached.cache_clear()
    yield tmp_path / "cache"
    monkeypatch.undo()
    for cached in (emulator_build._folder, emulator_build.compiler):
        cached.cache_clear()


@pytest.mark.parametrize("checked", [False, True])
def test_shuffles_and_barriers_add_up(checked: bool) -> None:
    x = np.random.default_rng(0).integers(-9, 9, (5, 256)).astype(np.float32)
    y = np.empty(5, np.float32)
    launcher(checked=checked).launch(example("block_sum"), (5, 1, 1), (256, 1, 1), [x, y])
    np.testing.assert_array_equal(y, x.sum(1))  # sums of small integers are exact


def test_blocks_come_in_the_order_of_the_seed() -> None:
    orders = [launcher(block_order=seed)._order((8, 4, 1)) for seed in (1, 1, 2)]
    assert orders[0].tolist() == orders[1].tolist() != orders[2].tolist()
    assert sorted(orders[0]) == list(range(32))
    # Where two blocks write one address, the last to come decides.
    y = np.zeros(32 * 9, np.float32)
    x = np.arange(y.size, dtype=np.float32)
    kernel = example("last_block_wins")
    for seed in (None, 2, 3):
        launcher(block_order=seed).launch(kernel, (64, 1, 1), (1, 1, 1), [x, y])
        last = 63 if seed is None else launcher(block_order=seed)._order((64, 1, 1))[-1]
        assert y[0] == last
    assert last != 63


def multiply_add(a: float, b: float, c: float, dtype: str) -> float:
    args = [np.full(1, v, dtype) for v in (a, b, c, 0)]
    kernel = Kernel(
        "multiply_add",
        "multiply_add",
        (("SCALAR", {"float32": "float", "float64": "double"}[dtype]),),
        FOLDER,
    )
    EmulatorLauncher().launch(kernel, (1, 1, 1), (1, 1, 1), args)
    return float(args[3][0])


@pytest.mark.skipif(not emulator_build._machine_flags(), reason="a processor without fma")
def test_a_product_and_a_sum_round_once() -> None:
    a = 1 + 2.0**-12  # a * a = 1 + 2^-11 + 2^-24, whose last bit float32 cannot hold
    assert multiply_add(a, a, -(1 + 2.0**-11), "float32") == 2.0**-24


@pytest.mark.skipif(not emulator_build._machine_flags(), reason="a processor without FTZ")
def test_float32_flushes_denormals_and_float64_does_not() -> None:
    assert multiply_add(1e-39, 1, 0, "float32") == 0
    assert multiply_add(1e-310, 1, 0, "float64") == 1e-310


def test_normal_mode_names_a_barrier_that_not_all_reach() -> None:
    x, y = np.zeros(64, np.float32), np.zeros(64, np.float32)
    kernel = example("shuffle_mask", ("FIXED", "0"))
    with pytest.raises(KernelError) as caught:
        launcher().launch(kernel, (1, 1, 1), (64, 1, 1), [x, y])
    assert str(caught.value) == (
        "shuffle_mask: synccheck: block (0, 0, 0): thread (0, 0, 0) waits in __shfl_xor_sync of"
        " mask 0xffffffff at kernels/shuffle_mask.cu:15, but thread (16, 0, 0) has ended"
    )


def test_a_mask_must_name_the_lane_itself(tmp_path: Path) -> None:
    source = (
        'extern "C" __global__ void outsider(int* y) {\n    y[0] = __ballot_sync(0x1u, 1);\n}\n'
    )
    (tmp_path / "outsider.cu").write_text(source)
    kernel = Kernel("outsider", "outsider", (), tmp_path)
    with pytest.raises(KernelError, match=r"outsider.cu:2, but the mask leaves that lane out"):
        EmulatorLauncher().launch(kernel, (1, 1, 1), (32, 1, 1), [np.zeros(1, np.int32)])


def test_a_compile_error_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "wrong.cu").write_text(
        'extern "C" __global__ void wrong(int* y) {\n    y = z;\n}\n'
    )
    kernel = Kernel("wrong", "wrong", (), tmp_path)
    with pytest.raises(KernelError, match=r"kernels/wrong.cu:2:.*error"):
        EmulatorLauncher().launch(kernel, (1, 1, 1), (1, 1, 1), [np.zeros(1, np.int32)])


def test_a_missing_compiler_is_a_device_error(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(DeviceError, match="no-such-compiler is not there: install g"):
        emulator_build.compiler()


def test_an_unwritable_cache_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_cache: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GPUCNN_CACHE", str(tmp_path / "file" / "cache"))
    folder = emulator_build._folder()
    assert folder.is_dir()
    assert tmp_path not in folder.parents


def test_processes_that_build_at_once_all_run(empty_cache: Path) -> None:
    script = (
        "import numpy as np\n"
        "from tests.runtime.examples import example, launcher\n"
        "x = np.ones(32, np.float32); y = np.zeros(1, np.float32)\n"
        "launcher().launch(example('block_sum'), (1, 1, 1), (32, 1, 1), [x, y])\n"
        "assert y[0] == 32\n"
    )
    root = Path(__file__).resolve().parents[2]
    running = [subprocess.Popen([sys.executable, "-c", script], cwd=root) for _ in range(2)]
    assert [process.wait() for process in running] == [0, 0]
    assert len(list(empty_cache.glob("block_sum-*.so"))) == 1
    assert len(list(empty_cache.iterdir())) == 2  # the runtime and the kernel, and no leftovers


def aged(folder: Path, ages: dict[str, float], size: int = 1) -> Path:
    """Libraries last used so many hours ago."""
    folder.mkdir()
    for name, hours in ages.items():
        (folder / name).write_bytes(bytes(size))
        then = time.time() - 3600 * hours
        os.utime(folder / name, (then, then))
    return folder


def test_what_nobody_uses_is_pruned(tmp_path: Path) -> None:
    folder = aged(tmp_path / "cache", {"a.so": 0, "b.so": 29 * 24, "c.so": 31 * 24, "d": 10**4})
    (folder / "tmpold").mkdir()
    (folder / "tmpnew").mkdir()
    os.utime(folder / "tmpold", (0, 0))
    emulator_build.prune(folder)
    assert {path.name for path in folder.iterdir()} == {"a.so", "b.so", "d", "tmpnew"}


def test_a_full_cache_loses_what_was_used_longest_ago(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ages = {f"{hours}.so": hours for hours in (0.0, 0.5, 2.0, 3.0, 4.0)}
    for name, most, kept in (("some", 30, 3), ("recent", 5, 2)):
        monkeypatch.setattr(emulator_build, "_MOST_BYTES", most)
        folder = aged(tmp_path / name, ages, size=10)
        emulator_build.prune(folder)
        assert sorted(path.name for path in folder.iterdir()) == sorted(ages)[:kept]


def test_pruning_beside_another_process_that_prunes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = aged(tmp_path / "cache", {"a.so": 0, "b.so": 31 * 24})
    there = [*folder.iterdir(), folder / "gone.so"]
    monkeypatch.setattr(Path, "glob", lambda self, pattern: iter(there if "so" in pattern else ()))
    emulator_build.prune(folder)
    assert [path.name for path in folder.iterdir()] == ["a.so"]


def test_a_use_makes_a_library_young(empty_cache: Path) -> None:
    x, y = np.ones(32, np.float32), np.zeros(1, np.float32)
    for _ in range(2):
        emulator.load.cache_clear()
        launcher().launch(example("block_sum"), (1, 1, 1), (32, 1, 1), [x, y])
        for library in empty_cache.glob("*.so"):
            assert time.time() - library.stat().st_mtime < 600
            os.utime(library, (0, 0))
    assert len(list(empty_cache.glob("*.so"))) == 2  # the kernel, and the runtime it links to


def test_a_changed_header_is_a_new_build(tmp_path: Path) -> None:
    (tmp_path / "value.cuh").write_text("#define VALUE 1\n")
    (tmp_path / "put.cu").write_text(
        '#include "value.cuh"\nextern "C" __global__ void put(int* y) { y[0] = VALUE; }\n'
    )
    first = Kernel("put", "put", (), tmp_path)
    y = np.zeros(1, np.int32)
    EmulatorLauncher().launch(first, (1, 1, 1), (1, 1, 1), [y])
    assert y[0] == 1
    changed = tmp_path / "changed"
    changed.mkdir()
    (changed / "put.cu").write_text((tmp_path / "put.cu").read_text())
    (changed / "value.cuh").write_text("#define VALUE 2\n")
    EmulatorLauncher(changed).launch(Kernel("put", "put", ()), (1, 1, 1), (1, 1, 1), [y])
    assert y[0] == 2


FIBERS = """
#include "gpucnn_fiber.h"
#include <cstdio>
using namespace gpucnn_emulator;
Context main_context, fiber;
void body() {
    // Kept in registers across the switches, by the promise of a function call.
    double product = 1;
    for (long i = 1;; ++i) {
        product *= double(i);
        std::printf("%ld %.0f ", i, product);
        switch_to(fiber, main_context);
    }
}
int main() {
    prepare(fiber, new_stack(), body);
    for (int i = 0; i < 4; ++i) switch_to(main_context, fiber);
}
"""


@pytest.mark.parametrize("macros", [(), ("-DGPUCNN_PORTABLE",)], ids=["fast", "portable"])
def test_fibers_switch_in_both_ways(macros: tuple[str, ...], tmp_path: Path) -> None:
    source, program = tmp_path / "fibers.cpp", tmp_path / "fibers"
    source.write_text(FIBERS)
    options = ["-O2", *macros, "-I", str(emulator_build._INCLUDE)]
    command = [emulator_build.compiler(), *options, str(source), "-o", str(program)]
    subprocess.run(command, check=True)
    done = subprocess.run([program], capture_output=True, text=True, check=True)
    assert done.stdout == "1 1 2 2 3 6 4 24 "
