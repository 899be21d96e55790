"""The host ahead of the device."""

import pytest

from tests.emulated import run_emulated
from tests.training.ahead_cases import *  # noqa: F403


@pytest.mark.slow
def test_through_cupy() -> None:
    """The same, where a device does nothing before somebody waits for it."""
    run_emulated("tests/training/ahead_cases.py")
