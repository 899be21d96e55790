"""What no GPU may be given: the named error, with what to do, before anything is launched.

On the stand-in for cupy, which notes every launch. (A missing compiler is in test_emulator.py; a
missing, broken or unfitting CuPy or driver in test_cuda.py; launches themselves in test_launch.py.)
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import gpucnn
from gpucnn.errors import DeviceError, ShapeError
from gpucnn.ops.base import Ops
from gpucnn.runtime import cuda_checks
from tests.runtime.fake_cupy import FakeCupy


@pytest.fixture
def cupy(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> FakeCupy:
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(cuda_checks, "DISTRIBUTIONS", ())
    cupy = FakeCupy()
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    return cupy


def new(ops: Ops, *shape: int, dtype: str = "float32") -> Any:
    return ops.zeros(shape, dtype)


def misaligned(ops: Ops, *shape: int) -> Any:
    """An array that begins one byte behind a multiple of four."""
    count = int(np.prod(shape)) * 4
    return ops.zeros((count + 4,), "uint8")[1 : count + 1].view("float32").reshape(shape)


def elsewhere(ops: Ops, *shape: int) -> Any:
    return gpucnn.get_ops("cuda:1").zeros(shape, "float32")


def convolved(x: Callable[..., Any] = new, **options: Any) -> Callable[[Ops], Any]:
    """conv2d of `x` (2, 4, 5, 5) with 6 filters of 3x3."""
    return lambda ops: ops.conv2d_forward(x(ops, 2, 4, 5, 5), new(ops, 6, 4, 3, 3), **options)


BAD: dict[str, tuple[Callable[[Ops], Any], type[Exception], str]] = {
    "dtype": (
        convolved(lambda ops, *shape: new(ops, *shape, dtype="float16")),
        DeviceError,
        r"x must be float32 or float64 .*float16.*: convert it with ops\.asarray\(x, 'float32'\)",
    ),
    "two dtypes": (
        convolved(lambda ops, *shape: new(ops, *shape, dtype="float64")),
        DeviceError,
        r"w must be float64 .*float32.*ops\.asarray\(w, 'float64'\)",
    ),
    "a NumPy array": (
        convolved(lambda ops, *shape: np.zeros(shape, "float32")),
        DeviceError,
        r"x must be an array of device 'cuda', got ndarray: convert it with ops\.asarray\(x\)",
    ),
    "another GPU's array": (
        convolved(elsewhere),
        DeviceError,
        r"x must be an array of device 'cuda', got \w+ of cuda:1: convert it with ops\.asarray",
    ),
    "a list": (convolved(lambda ops, *shape: [1.0]), DeviceError, r"got list: convert it with ops"),
    "rank": (
        convolved(lambda ops, *shape: new(ops, *shape[1:])),
        ShapeError,
        r"x must have 4 dimensions, got shape \(4, 5, 5\)",
    ),
    "a part of an array": (
        convolved(lambda ops, n, c, h, w: new(ops, n, c, h, 2 * w)[..., ::2]),
        DeviceError,
        r"x of shape .* must be C-contiguous, got strides .*: copy it with ops\.asarray\(x\)",
    ),
    "a transposed array": (
        convolved(lambda ops, n, c, h, w: new(ops, n, c, w, h).transpose(0, 1, 3, 2)),
        DeviceError,
        "must be C-contiguous",
    ),
    "a misaligned array": (
        convolved(misaligned),
        DeviceError,
        r"x must begin at a multiple of 4 bytes, got address 0x\w+: copy it",
    ),
    "a misaligned array of a later launch": (
        lambda ops: ops.batch_norm2d_forward(
            new(ops, 2, 4, 5, 5), misaligned(ops, 4), *(new(ops, 4) for _ in range(3)), train=True
        ),
        DeviceError,
        "gamma must begin at a multiple of 4 bytes",
    ),
    "groups that do not divide": (convolved(groups=3), ShapeError, r"groups=3.*C=4"),
    "filters for other channels": (convolved(groups=2), ShapeError, r"w .*\(6, 4, 3, 3\).*2"),
    "an index over int32, by padding": (
        convolved(padding=30000),
        ShapeError,
        r"y of shape .*60003\) has 43,204,320,108 elements, more than int32 can index",
    ),
    "an index over int32, by a product": (
        lambda ops: ops.linear_forward(new(ops, 50000, 1), new(ops, 50000, 1)),
        ShapeError,
        r"y of shape \(50000, 50000\) has 2,500,000,000 elements, more than int32 .*smaller batch",
    ),
    "a window larger than its padded input": (
        lambda ops: ops.max_pool2d_forward(new(ops, 2, 4, 5, 5), kernel_size=8, padding=1),
        ShapeError,
        r"8.*5",
    ),
    "a kernel larger than its padded input": (
        lambda ops: ops.conv2d_forward(new(ops, 2, 4, 2, 9), new(ops, 6, 4, 5, 5), padding=1),
        ShapeError,
        r"5.*2",
    ),
}


@pytest.mark.parametrize("rule", BAD)
def test_it_is_refused_before_any_launch(cupy: FakeCupy, rule: str) -> None:
    call, error, message = BAD[rule]
    with pytest.raises(error, match=message):
        call(gpucnn.get_ops("cuda"))
    assert cupy.launches == []


def test_the_good_input_is_good(cupy: FakeCupy) -> None:
    """The rows change one thing each in what works as it is."""
    convolved()(gpucnn.get_ops("cuda"))
    assert len(cupy.launches) == 1
