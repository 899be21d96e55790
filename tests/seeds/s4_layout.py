"""S4's layout, for the tests of its errata: A (m, H, W, C_prev), W (fh, fw, C_prev, C), dZ as Z."""

from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from gpucnn.ops.base import Ops
from gpucnn.reference.layout import hwio_to_kcrs, kcrs_to_hwio, nchw_to_nhwc, nhwc_to_nchw
from tests.ops.harness import call, numeric_gradient
from tests.seeds.examples import integers


class Gradients(NamedTuple):
    """Of the sum of Z·dZ, by the input, the filters and the bias (C,)."""

    dA: np.ndarray
    dW: np.ndarray
    db: np.ndarray


class Case(NamedTuple):
    """A convolution with an upstream gradient, all whole numbers."""

    A: np.ndarray
    W: np.ndarray
    dZ: np.ndarray
    padding: tuple[int, int]
    strides: tuple[int, int]

    @classmethod
    def of(
        cls,
        size: tuple[int, int],
        filters: tuple[int, int],
        *,
        samples: int = 2,
        depth: int = 2,
        count: int = 2,
        padding: int = 0,
        stride: int = 1,
    ) -> "Case":
        A = integers((samples, *size, depth), "float64", seed=1)
        W = integers((*filters, depth, count), "float64", seed=2)
        pair = (padding, padding), (stride, stride)
        dZ = integers(forward(A, W, np.zeros(count), *pair).shape, "float64", seed=3)
        return cls(A, W, dZ, *pair)

    @property
    def settings(self) -> tuple[tuple[int, int], tuple[int, int]]:
        return self.padding, self.strides

    def by_differences(self) -> Gradients:
        """The sum is linear in each argument and all numbers are whole: no rounding anywhere."""
        bias = np.zeros(self.W.shape[3])
        return Gradients(
            numeric_gradient(lambda A: self._loss(A, self.W, bias), self.A),
            numeric_gradient(lambda W: self._loss(self.A, W, bias), self.W),
            numeric_gradient(lambda b: self._loss(self.A, self.W, b), bias),
        )

    def _loss(self, A: np.ndarray, W: np.ndarray, b: np.ndarray) -> float:
        return float((forward(A, W, b, *self.settings) * self.dZ).sum())

    def cache(self) -> Any:
        """What S4's backward functions take beside dZ."""
        return self.A, self.W, np.zeros((1, 1, 1, self.W.shape[3])), *self.settings

    def by_ops(self, ops: Ops) -> Gradients:
        """The gradients of a device, or of the reference, brought back into S4's layout."""
        x, w, dy = nhwc_to_nchw(self.A), hwio_to_kcrs(self.W), nhwc_to_nchw(self.dZ)
        settings = {"stride": self.strides, "padding": self.padding}
        dx = call(ops, "conv2d_backward_input", dy, w, x.shape, **settings)
        dw = call(ops, "conv2d_backward_weight", dy, x, w.shape, **settings)
        db = call(ops, "conv2d_backward_bias", dy)
        return Gradients(nchw_to_nhwc(dx), kcrs_to_hwio(dw), db)


def forward(A: np.ndarray, W: np.ndarray, b: np.ndarray, padding: Any, strides: Any) -> np.ndarray:
    """Z (m, n_H, n_W, C), by NumPy's windows: no code of gpucnn."""
    (high, wide), (down, right) = padding, strides
    padded = np.pad(A, ((0, 0), (high, high), (wide, wide), (0, 0)))
    windows = sliding_window_view(padded, W.shape[:2], axis=(1, 2))[:, ::down, ::right]
    return np.einsum("mhwcij,ijcd->mhwd", windows, W) + b


def exact(actual: Gradients, expected: Gradients) -> None:
    """Equal to the last bit, field by field."""
    for name, a, e in zip(Gradients._fields, actual, expected, strict=True):
        np.testing.assert_array_equal(a.reshape(e.shape), e, err_msg=name)
