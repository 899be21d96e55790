"""Batches that are copied ahead: where the device can, and what it changes of a training."""

import pytest

from gpucnn import get_ops
from gpucnn.training.staged import staged
from tests.data.test_loader import loader
from tests.emulated import run_emulated


@pytest.mark.parametrize("device", ["cpu", "emulator"])
def test_elsewhere_batches_stay_what_they_are(device: str) -> None:
    batches = loader()
    assert staged(batches, get_ops(device)) is batches


def test_training_through_cupy() -> None:
    run_emulated("tests/training/staged_cases.py")
