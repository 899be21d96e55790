"""The golden tests run on gpucnn.reference as well as on every device."""

import pytest

import gpucnn
from gpucnn.ops.base import Ops
from tests.conftest import DEVICES
from tests.seeds.reference_ops import ReferenceOps


@pytest.fixture(params=["reference", *DEVICES], scope="session")
def ops(request: pytest.FixtureRequest) -> Ops:
    """The reference, then the operations of each device in turn."""
    return ReferenceOps() if request.param == "reference" else gpucnn.get_ops(request.param)


@pytest.fixture(params=DEVICES, scope="session")
def device_ops(request: pytest.FixtureRequest) -> Ops:
    """The devices alone: for what is tested at the level of the trainer."""
    return gpucnn.get_ops(request.param)
