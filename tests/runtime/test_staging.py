"""Batches copied beside the work of a CUDA device, on streams as late as they may be."""

from tests.emulated import run_emulated


def test_staging_through_cupy() -> None:
    run_emulated("tests/runtime/staging_cases.py")
