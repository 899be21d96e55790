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
