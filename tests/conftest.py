"""Fixtures that every part shares. New devices join the suite by a line in DEVICES."""

import pytest
from hypothesis import settings

import gpucnn
from gpucnn.ops.base import Ops

DEVICES = ["cpu", "emulator"]
DTYPES = ["float32", "float64"]

# The same examples on every run, and no deadline: the suite asserts nothing about time.
settings.register_profile("gpucnn", derandomize=True, deadline=None)
settings.load_profile("gpucnn")


@pytest.fixture(params=DEVICES, scope="session")
def ops(request: pytest.FixtureRequest) -> Ops:
    """The operations of each device in turn."""
    return gpucnn.get_ops(request.param)


@pytest.fixture(params=DTYPES, scope="session")
def dtype(request: pytest.FixtureRequest) -> str:
    """Each dtype the library computes in."""
    return request.param
