"""kernels/async.cuh: a pipeline of asynchronous copies, on the emulator and under NVRTC.

What a GPU does between a copy and its wait is open; the emulator does the worst of it.
"""

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucnn.errors import DeviceError, KernelError
from gpucnn.runtime import nvrtc
from gpucnn.runtime.emulator import EmulatorLauncher
from gpucnn.runtime.launch import Kernel
from gpucnn.runtime.source import assemble, kernels_folder

THREADS = 32

# y = each tile of x backwards; the copy of the next tile is on its way while one is read. Numbers
# from `count` on are zeros.
PIPELINE = """
#include "async.cuh"

extern "C" __global__ void pipeline(const float* x, float* y, int tiles, int count) {
    __shared__ __align__(16) float tile[2][32 * WIDTH];
    const int first = threadIdx.x * WIDTH, size = 32 * WIDTH;
    copy_async<4 * WIDTH>(&tile[0][first], x + first, first < count);
    commit_copies();  // the first
    for (int t = 0; t < tiles; ++t) {
        const int next = (t + 1) * size + first;
        if (t + 1 < tiles) copy_async<4 * WIDTH>(&tile[(t + 1) % 2][first], x + next, next < count);
        commit_copies();  // the next
        wait_copies<1>();
        __syncthreads();
        for (int i = 0; i < WIDTH; ++i) y[t * size + first + i] = tile[t % 2][size - 1 - first - i];
        __syncthreads();  // before the tile is overwritten
    }
}
"""


def pipeline(folder: Path, width: int, *change: str) -> Kernel:
    folder.mkdir(exist_ok=True)
    for header in ("async.cuh", "common.cuh"):
        shutil.copy(kernels_folder() / header, folder)
    text = PIPELINE
    for old, new in zip(change[::2], change[1::2], strict=True):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (folder / "pipeline.cu").write_text(text)
    return Kernel("pipeline", "pipeline", (("WIDTH", str(width)),), folder)


def run(device: EmulatorLauncher, kernel: Kernel, tiles: int = 5, *, short: int = 0) -> Any:
    size = THREADS * int(dict(kernel.macros)["WIDTH"])
    count = tiles * size - short
    x = np.arange(1, tiles * size + 1, dtype=np.float32)
    y = device.xp.empty(x.shape, np.float32)
    device.launch(kernel, (1, 1, 1), (THREADS, 1, 1), [x[:count].copy(), y, tiles, count])
    expected = np.where(np.arange(tiles * size) < count, x, 0).reshape(tiles, size)[:, ::-1]
    np.testing.assert_array_equal(y, expected.ravel())
    return y


@pytest.mark.parametrize("checked", [False, True])
@pytest.mark.parametrize("width", [1, 2, 4])
def test_what_was_copied_is_there_after_the_wait(width: int, checked: bool, tmp_path: Path) -> None:
    kernel = pipeline(tmp_path, width)
    for tiles in (1, 2, 5):
        run(EmulatorLauncher(checked=checked), kernel, tiles)
    run(EmulatorLauncher(checked=checked), kernel, short=4 * width)


def test_the_copies_are_measured_as_loads_and_stores(tmp_path: Path) -> None:
    device = EmulatorLauncher(checked=True)
    run(device, pipeline(tmp_path, 4), tiles=2)
    copies = [(m.space, m.access, m.size, m.requests, m.units) for m in device.metrics]
    # 32 lanes of 16 bytes are 512 bytes: 16 sectors, and 4 wavefronts of 128 bytes.
    assert copies.count(("global", "load", 16, 1, 16)) == 2
    assert copies.count(("shared", "store", 16, 1, 4)) == 2


ON_ITS_WAY = "racecheck: .*while a copy to it is on its way"
FAULTS = {
    "the wait's count off by one": (ON_ITS_WAY, "wait_copies<1>", "wait_copies<2>"),
    "no wait": (ON_ITS_WAY, "wait_copies<1>();", ""),
    "no commit of the first": (ON_ITS_WAY, "commit_copies();  // the first", ""),
    "no commit in the loop": (ON_ITS_WAY, "commit_copies();  // the next", ""),
    "no barrier after the wait": (
        "racecheck: .*load of 4 bytes, byte .* of tile, after thread",
        "        __syncthreads();\n        for",
        "        for",
    ),
    "no barrier before the next copy": (
        "racecheck: .*store of 16 bytes, byte .* of tile, after thread",
        "__syncthreads();  // before the tile is overwritten",
        "",
    ),
    "the buffer that is read": (ON_ITS_WAY, "&tile[(t + 1) % 2]", "&tile[t % 2]"),
    "beyond the end": (
        "memcheck: .*load of 16 bytes outside of every array .* 0 bytes after x",
        "next < count",
        "true",
    ),
    "from a null pointer": (
        "memcheck: .*load of 16 bytes .* 0 bytes from a null pointer",
        "x + first, first < count",
        "static_cast<float*>(nullptr), true",
    ),
    "between vectors": (
        "memcheck: .*store of 16 bytes at .* is not a multiple of 16",
        "copy_async<4 * WIDTH>(&tile[0][first]",
        "copy_async<4 * WIDTH>(&tile[0][first + 1]",
    ),
    "to global memory": (
        "memcheck: .*an asynchronous copy to what is not shared memory, byte 0 of y",
        "&tile[0][first]",
        "y + first",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_caught(fault: str, tmp_path: Path) -> None:
    words, *change = FAULTS[fault]
    with pytest.raises(KernelError, match=words):
        run(EmulatorLauncher(checked=True), pipeline(tmp_path, 4, *change), short=128)


@pytest.mark.parametrize("fault", ["the wait's count off by one", "no commit in the loop"])
def test_without_checks_what_is_on_its_way_is_poison(fault: str, tmp_path: Path) -> None:
    kernel = pipeline(tmp_path, 4, *FAULTS[fault][1:])
    with pytest.raises(AssertionError, match="nan"):
        run(EmulatorLauncher(), kernel)


@pytest.mark.parametrize("arch", ["sm_75", "sm_80", "sm_90", "sm_120"])
def test_it_compiles_under_nvrtc(arch: str, tmp_path: Path) -> None:
    try:
        found = nvrtc.architectures()
    except DeviceError as error:
        pytest.skip(str(error))
    if arch not in found:
        pytest.skip(f"NVRTC {nvrtc.version()} does not compile for {arch}")
    for width in (1, 2, 4):
        kernel = pipeline(tmp_path, width)
        log = nvrtc.compile_log(assemble("pipeline", tmp_path), "pipeline", kernel.macros, arch)
        assert re.search(r"Used \d+ registers", log)


@pytest.mark.parametrize("instruction", ["cg.shared", "ca.shared", "commit_group", "wait_group"])
def test_the_instructions_are_used_where_the_gpu_has_them(instruction: str, tmp_path: Path) -> None:
    """An instruction that does not exist is an error there, and nowhere else."""
    kernel = pipeline(tmp_path, 1 if instruction.startswith("ca") else 4)
    source = assemble("pipeline", tmp_path)
    assert source.count(f"cp.async.{instruction}") == 1
    wrong = source.replace(f"cp.async.{instruction}", f"cp.no.{instruction}")
    try:
        nvrtc.compile_log(wrong, "pipeline", kernel.macros, "sm_75")
    except DeviceError as error:
        pytest.skip(str(error))
    with pytest.raises(KernelError, match=r"Unknown modifier '\.no'"):
        nvrtc.compile_log(wrong, "pipeline", kernel.macros, "sm_80")
