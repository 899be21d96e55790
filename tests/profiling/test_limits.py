"""The word for what limits a row."""

import pytest

from gpucnn.profiling.limits import limit_of, percent_of_limit
from gpucnn.profiling.profile import Ceilings, Row

CEILINGS = Ceilings(copy_gb_s=1.0, gemm_tflops=1.0, device="", source="")


def row(*, kernel: str = "", calls: float = 1, ms: float = 1.0, gap: float = 0.0,
        compute: float | None = 50.0, memory: float | None = 20.0) -> Row:  # fmt: skip
    return Row(
        "a", "forward", "m", kernel, "", calls, ms, ms, ms, 0.1, gap,
        compute_percent=compute, memory_percent=memory,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "on_device", "word"),
    [
        (row(), True, "compute"),
        (row(memory=80.0), True, "memory"),
        (row(gap=2.0), True, "host"),
        (row(kernel="k", calls=1000), True, "launch"),
        (row(calls=1000), True, "launch"),
        (row(calls=1000), False, "host"),
        (row(calls=150), True, "compute"),
        (row(calls=150), False, "host"),
        (row(compute=None, memory=None), False, ""),
    ],
)
def test_the_word(given: Row, on_device: bool, word: str) -> None:
    assert limit_of(given, CEILINGS, on_device=on_device) == word


def test_without_ceilings_there_is_nothing_to_say() -> None:
    assert limit_of(row(gap=2.0), None, on_device=True) == ""


def test_how_near_it_comes() -> None:
    assert percent_of_limit(row(memory=80.0)) == 80.0
    assert percent_of_limit(row(compute=None)) is None
