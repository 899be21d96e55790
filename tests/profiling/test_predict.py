"""The roofline of a launch, against arithmetic done by hand."""

from dataclasses import replace

import pytest

from gpucnn.errors import ConfigError
from gpucnn.profiling.gpus import GPUS, Gpu, find_gpu
from gpucnn.profiling.predict import Counts, assumptions, copied, predict
from gpucnn.runtime.report import MULTIPROCESSORS

# 10 multiprocessors · 50 cores · 2 FLOPs at 1 GHz; on-chip 10 · 128 B · 1 GHz = 1280 GB/s.
TOY = Gpu("toy", "Toy", "sm_80", 10, 50, 1.0, 100.0, 1, "made up")
MIB = 2**20
IDLE = Counts(blocks=1000, flops=0.0, moved=0, least=0, wavefronts=0)


def test_the_toys_rates() -> None:
    assert TOY.clock_ghz == pytest.approx(1.0)
    assert TOY.on_chip_gb_s == pytest.approx(1280.0)


@pytest.mark.parametrize(
    ("counts", "limit", "ns"),
    [
        (IDLE, "launch", 5000),
        (replace(IDLE, flops=1e8), "compute", 1e8 / 1000),
        # Half of the multiprocessors have no block.
        (replace(IDLE, flops=1e8, blocks=5), "compute", 2e8 / 1000),
        (replace(IDLE, moved=MIB, least=MIB), "memory", MIB / 100),
        # Asked for 40 times: the second-level cache has it, the first-level ones take longer.
        (replace(IDLE, moved=40 * MIB, least=MIB), "on-chip", 40 * MIB / 1280),
        # The same where it does not fit: all of it comes from the memory.
        (replace(IDLE, moved=80 * MIB, least=2 * MIB), "memory", 80 * MIB / 100),
        (replace(IDLE, wavefronts=100_000), "on-chip", 12_800_000 / 1280),
        (replace(IDLE, wavefronts=100_000, blocks=1), "on-chip", 12_800_000 / 128),
    ],
)
def test_a_launch_takes_the_longest_of_four(counts: Counts, limit: str, ns: float) -> None:
    found = predict(counts, TOY)
    assert (found.limit, found.likely) == (limit, round(ns))


def test_the_best_and_the_worst_case() -> None:
    found = predict(replace(IDLE, moved=40 * MIB, least=MIB, flops=2e7), TOY)
    assert found.best == round(2e7 / 1000)
    assert found.best < found.likely < found.worst == round(40 * MIB / 100)


def test_a_copy_is_memory_or_a_launch() -> None:
    assert (copied(100 * MIB, TOY).likely, copied(100 * MIB, TOY).limit) == (MIB, "memory")
    assert (copied(4, TOY).likely, copied(4, TOY).limit) == (5000, "launch")


# The boost clocks that the data sheets tell beside the rates.
BOOST = {"h200": 1.98, "h100": 1.98, "a100": 1.41, "a100-40gb": 1.41, "rtx4090": 2.52, "l4": 2.04,
         "rtx3090": 1.695, "t4": 1.59}  # fmt: skip


@pytest.mark.parametrize("gpu", GPUS.values(), ids=lambda gpu: gpu.name)
def test_the_figures_of_a_gpu_agree_with_each_other(gpu: Gpu) -> None:
    assert gpu.clock_ghz == pytest.approx(BOOST[gpu.name], rel=0.01)
    assert gpu.arch in MULTIPROCESSORS
    assert "white paper" in gpu.source
    assert gpu.source in " ".join(assumptions(gpu))


def test_an_unknown_gpu_is_an_error_that_lists_the_known() -> None:
    with pytest.raises(ConfigError, match=r"--gpu must be one of h200, .*t4, got 'h300'"):
        find_gpu("h300")
