"""A benchmark's rows on a GPU, as far as the CuPy without one (tests/emulated_cupy) can tell."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

SCRIPT = """
import json
from dataclasses import asdict
from functools import partial
from types import SimpleNamespace
import cupy
from gpucnn.errors import DeviceError
from gpucnn.ops import get_ops
from gpucnn.profiling.benchmark import device as module
from gpucnn.profiling.benchmark.run import Bench, Settings, chosen, facts
from tests.profiling.benchmark.made_up import CEILINGS

module.CupyTimer = partial(module.CupyTimer, flush=1 << 16)
freed = []
cupy.cuda.pool.free_all_blocks = lambda: freed.append(1)
device, settings = module.Device(get_ops("cuda")), Settings(repeats=7)
bench = Bench(device, get_ops("cpu"), None, CEILINGS, settings)
planned = chosen({"linears": {"fc": (3, 5, 4)}, "arenas": {"all": (33,)}}, settings)
wanted = ("linear_forward", "clip_by_global_norm")
rows = [asdict(bench.row(each)) for each in planned if each.case.method in wanted]
torch = SimpleNamespace(cuda=SimpleNamespace(is_available=lambda: False), __version__="2")
try:
    device.torch_timer(torch)
except DeviceError as error:
    refused = str(error)
print(json.dumps({"rows": rows, "freed": len(freed), "free": device.free_bytes(),
    "facts": facts(device, None, settings, {}), "torch": [device.torch_device, refused]}))
"""


@pytest.fixture(scope="module")
def found() -> dict:
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "emulated_cupy")])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_rows_have_cold_and_warm_times(found: dict) -> None:
    assert [row["status"] for row in found["rows"]] == ["timed", "timed"], found["rows"]
    for row in found["rows"]:
        assert [time["cache"] for time in row["times"]] == ["cold", "warm"]
        assert all(time["ms"] > 0 for time in row["times"])
    assert [row["oracle"] for row in found["rows"]] == [
        "reference float64, cpu float64", "cpu float64",
    ]  # fmt: skip
    assert found["rows"][0]["flops"] == 2 * 3 * 5 * 4 + 3 * 4


def test_memory_is_asked_for_and_given_back(found: dict) -> None:
    assert found["free"] == 2**36
    assert found["freed"] == 2


def test_the_device_is_described(found: dict) -> None:
    assert found["facts"]["device_name"] == "Emulated GPU"
    assert found["facts"]["caches"] == ["cold", "warm"]


def test_pytorch_without_a_gpu_is_refused(found: dict) -> None:
    device, message = found["torch"]
    assert device == "cuda:0"
    assert message.startswith("--against torch on cuda: PyTorch 2 sees no GPU")
