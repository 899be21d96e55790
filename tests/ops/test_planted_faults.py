"""The checks of this folder against devices that are wrong on purpose: each must be caught."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gpucnn.ops.base import Array, Ops
from gpucnn.ops.numpy_ops import NumpyOps
from gpucnn.ops.shapes import Conv2dShape, Pool2dShape
from tests.ops import test_convolution as convolution
from tests.ops import test_dense as dense
from tests.ops import test_dropout as dropout
from tests.ops import test_elementwise as elementwise
from tests.ops import test_normalization as normalization
from tests.ops import test_pooling as pooling
from tests.ops import test_updates as updates
from tests.ops.geometries import geometry
from tests.ops.harness import normal


class UnturnedKernel(NumpyOps):
    """dx without rot180."""

    def _conv2d_backward_input(
        self, shape: Conv2dShape, dy: Array, w: Array, *end: Array | None
    ) -> Array:
        return super()._conv2d_backward_input(shape, dy, w[..., ::-1, ::-1].copy(), *end)


class PaddingNotCropped(NumpyOps):
    """dx shifted as if the leading padding belonged to x."""

    def _conv2d_backward_input(
        self, shape: Conv2dShape, dy: Array, w: Array, *end: Array | None
    ) -> Array:
        dx = super()._conv2d_backward_input(shape, dy, w, *end)
        return np.roll(dx, 1, axis=-1)


class UncleanedRemainder(NumpyOps):
    """dx of memory that was never cleared where no window reaches."""

    def _conv2d_backward_input(
        self, shape: Conv2dShape, dy: Array, w: Array, *end: Array | None
    ) -> Array:
        dx = super()._conv2d_backward_input(shape, dy, w, *end)
        dx[dx == 0] = 1e-30
        return dx


class OneImageOnly(NumpyOps):
    """dw without the sum over the batch."""

    def _conv2d_backward_weight(self, shape: Conv2dShape, dy: Array, x: Array) -> Array:
        return super()._conv2d_backward_weight(replace(shape, n=1), dy[:1], x[:1])


class DividedWeights(NumpyOps):
    """dw divided by N, which the loss does already (the seeds' error E4)."""

    def _conv2d_backward_weight(self, shape: Conv2dShape, dy: Array, x: Array) -> Array:
        return super()._conv2d_backward_weight(shape, dy, x) / dy.dtype.type(max(1, shape.n))


class SinglePrecision(NumpyOps):
    """float64 computed in float32."""

    def _conv2d_forward(
        self,
        shape: Conv2dShape,
        x: Array,
        w: Array,
        b: Array | None,
        residual: Array | None,
        relu: bool,
    ) -> Array:
        few = [None if a is None else a.astype("float32") for a in (x, w, b, residual)]
        return super()._conv2d_forward(shape, *few, relu).astype(x.dtype)


class BiasPerPlace(NumpyOps):
    """A bias added along the wrong axis."""

    def _conv2d_forward(
        self,
        shape: Conv2dShape,
        x: Array,
        w: Array,
        b: Array | None,
        residual: Array | None,
        relu: bool,
    ) -> Array:
        y = super()._conv2d_forward(shape, x, w, None, residual, relu)
        return y if b is None else y + b[0]


class WritesItsInput(NumpyOps):
    """A ReLU in place."""

    def _relu_forward(self, x: Array) -> Array:
        x[x <= 0] = 0
        return x.copy()


class ReturnsAView(NumpyOps):
    """A result that shares memory with the argument."""

    def _relu_forward(self, x: Array) -> Array:
        return x if (x > 0).all() else super()._relu_forward(x)


class GradientAtZero(NumpyOps):
    """ReLU'(0) = 1."""

    def _relu_backward(self, dy: Array, x: Array) -> Array:
        return np.where(x < 0, 0, dy).astype(dy.dtype)


class LastOfTheTies(NumpyOps):
    """The last maximum in reading order."""

    def _max_pool2d_forward(
        self, shape: Pool2dShape, x: Array, column_major: bool
    ) -> tuple[Array, Array]:
        y, argmax = super()._max_pool2d_forward(shape, x[..., ::-1, ::-1].copy(), column_major)
        turned = (shape.cells - 1 - argmax.astype(int))[..., ::-1, ::-1]
        return y[..., ::-1, ::-1].copy(), turned.astype(argmax.dtype)


class RowsForColumns(NumpyOps):
    """tie_break not looked at."""

    def _max_pool2d_forward(
        self, shape: Pool2dShape, x: Array, column_major: bool
    ) -> tuple[Array, Array]:
        return super()._max_pool2d_forward(shape, x, False)


class PaddingWins(NumpyOps):
    """Padding as zeros in a maximum."""

    def _max_pool2d_forward(
        self, shape: Pool2dShape, x: Array, column_major: bool
    ) -> tuple[Array, Array]:
        y, argmax = super()._max_pool2d_forward(shape, x, column_major)
        y[..., 0, :] = np.maximum(y[..., 0, :], 0)
        return y, argmax


class ScatterThatOverwrites(NumpyOps):
    """Overlapping windows: the last dy stays alone."""

    def _max_pool2d_backward(
        self, shape: Pool2dShape, dy: Array, argmax: Array, relu_y: Array | None
    ) -> Array:
        dx = np.zeros(shape.x_shape, dy.dtype)
        for n, c, p, q in np.ndindex(*shape.y_shape):
            r, s = divmod(int(argmax[n, c, p, q]), shape.kernel[1])
            i = p * shape.stride[0] - shape.padding[0][0] + r * shape.dilation[0]
            j = q * shape.stride[1] - shape.padding[1][0] + s * shape.dilation[1]
            dx[n, c, i, j] = dy[n, c, p, q]
        return dx


class WrongDivisor(NumpyOps):
    """count_include_pad upside down."""

    def _avg_pool2d_forward(self, shape: Pool2dShape, x: Array, include_pad: bool) -> Array:
        return super()._avg_pool2d_forward(shape, x, not include_pad)


class WholeWindowDivisor(NumpyOps):
    """Cells beyond the padded edge counted as well."""

    def _avg_pool2d_backward(self, shape: Pool2dShape, dy: Array, include_pad: bool) -> Array:
        wide = replace(shape, padding=((shape.padding[0][0], 9), (shape.padding[1][0], 9)))
        return super()._avg_pool2d_backward(wide, dy, include_pad)


class MeanOfPowers(NumpyOps):
    """An LP pool with a mean."""

    def _lp_pool2d_forward(self, shape: Pool2dShape, x: Array, p: float) -> Array:
        y = super()._lp_pool2d_forward(shape, x, p)
        return y * y.dtype.type(shape.cells ** (-1 / p))


class UnsignedPower(NumpyOps):
    """An LP gradient without the sign of x."""

    def _lp_pool2d_backward(
        self, shape: Pool2dShape, dy: Array, x: Array, y: Array, p: float
    ) -> Array:
        return super()._lp_pool2d_backward(shape, dy, abs(x), y, p)


class LossNotDivided(NumpyOps):
    """ "mean" that sums."""

    def _softmax_cross_entropy(
        self, logits: Array, labels: Array, smoothing: float, mean: bool
    ) -> tuple[Array, Array]:
        return super()._softmax_cross_entropy(logits, labels, smoothing, False)


class SmoothedOverTheOthers(NumpyOps):
    """ε shared by the wrong classes alone."""

    def _softmax_cross_entropy(
        self, logits: Array, labels: Array, smoothing: float, mean: bool
    ) -> tuple[Array, Array]:
        classes = logits.shape[1]
        wider = smoothing * classes / max(1, classes - 1)
        return super()._softmax_cross_entropy(logits, labels, wider, mean)


class NoHalf(NumpyOps):
    """A squared error without ½."""

    def _mean_squared_error(self, y: Array, target: Array, mean: bool) -> tuple[Array, Array]:
        loss, dy = super()._mean_squared_error(y, target, mean)
        return np.asarray(loss * 2), dy


class UnbiasedNormalisation(NumpyOps):
    """Batch norm that divides by the unbiased deviation."""

    def _batch_norm2d_forward(self, x: Array, *rest: Any) -> tuple[Array, Any]:
        y, saved = super()._batch_norm2d_forward(x, *rest)
        count = x.size // x.shape[1]
        return y * y.dtype.type(np.sqrt((count - 1) / count)), saved


class ConstantStatistics(NumpyOps):
    """Batch norm's gradient without those of mean and variance."""

    def _batch_norm2d_backward(self, dy: Array, saved: Any, gamma: Array) -> Any:
        return super()._batch_norm2d_backward(dy, saved._replace(train=False), gamma)


class BiasedRunningVariance(NumpyOps):
    """Running statistics with the variance that normalised."""

    def _batch_norm2d_forward(
        self, x: Array, gamma: Array, beta: Array, mean: Array, var: Array, train: bool,
        momentum: float, *rest: Any,
    ) -> tuple[Array, Any]:  # fmt: skip
        before = var.copy()
        result = super()._batch_norm2d_forward(x, gamma, beta, mean, var, train, momentum, *rest)
        count = x.size // x.shape[1]
        kept = (1 - momentum) * before
        var[...] = kept + (var - kept) * ((count - 1) / count)
        return result


class KeepsTooFew(NumpyOps):
    """A mask of the next layer."""

    def _dropout_forward(
        self, x: Array, rate: float, seed: int, layer: int, step: int
    ) -> tuple[Array, Array]:
        return super()._dropout_forward(x, rate, seed, (layer + 1) % 2**32, step)


class NotInverted(NumpyOps):
    """Dropout that does not scale what it keeps."""

    def _dropout_forward(
        self, x: Array, rate: float, seed: int, layer: int, step: int
    ) -> tuple[Array, Array]:
        _, mask = super()._dropout_forward(x, rate, seed, layer, step)
        return x * (mask > 0), mask


class NoBiasCorrection(NumpyOps):
    """Adam at step infinity."""

    def _adam_update(self, *args: Any) -> None:
        (lr, *_), rest = args[4], args[5:]
        super()._adam_update(*args[:4], (lr, lr, 1.0), *rest)


class CoupledDecay(NumpyOps):
    """AdamW that is Adam."""

    def _adam_update(self, *args: Any) -> None:
        super()._adam_update(*args[:9], False, *args[10:])


def conv(name: str, check: Callable[..., None], dtype: str = "float32") -> Callable[[Ops], None]:
    return lambda ops: check(ops, *geometry(name), dtype)


def pool(name: str, check: Callable[..., None], kind: str, *rest: Any) -> Callable[[Ops], None]:
    shape, kw = pooling.SHAPES[name]
    return lambda ops: check(ops, pooling.values(shape, "float32", kind), kw, *rest)


def adam(**options: Any) -> Callable[[Ops], None]:
    return lambda ops: updates.check_adam(ops, "float32", 2, options, None)


def norm(train: bool) -> Callable[[Ops], None]:
    return lambda ops: normalization.check_batch_norm(ops, (4, 3, 5, 2), "float32", train=train)


def cross_entropy(smoothing: float) -> Callable[[Ops], None]:
    logits = normal((5, 7), "float32")
    return lambda ops: dense.check_cross_entropy(ops, logits, smoothing, "mean")


def relu(values: list[float]) -> Callable[[Ops], None]:
    return lambda ops: elementwise.check_activation(ops, "relu", np.asarray(values, "float32"))


FAULTS: list[tuple[type[NumpyOps], Callable[[Ops], None]]] = [
    (UnturnedKernel, conv("odd_sizes", convolution.check_backward_input)),
    (PaddingNotCropped, conv("same", convolution.check_backward_input)),
    (UncleanedRemainder, conv("remainder_1", convolution.check_backward_input)),
    (OneImageOnly, conv("same", convolution.check_backward_weight)),
    (DividedWeights, conv("same", convolution.check_backward_weight)),
    (SinglePrecision, conv("same", convolution.check_forward, "float64")),
    (BiasPerPlace, conv("same", convolution.check_forward)),
    (WritesItsInput, relu([-1, 2])),
    (ReturnsAView, relu([1, 2])),
    (GradientAtZero, relu([-1, 0, 2])),
    (LastOfTheTies, pool("halved", pooling.check_max, "ties")),
    (RowsForColumns, pool("overlap", pooling.check_max, "ties", "column_major")),
    (PaddingWins, pool("padded", pooling.check_max, "negative")),
    (ScatterThatOverwrites, pool("overlap", pooling.check_max, "ties")),
    (WrongDivisor, pool("padded", pooling.check_avg, "normal", True)),
    (WholeWindowDivisor, pool("ceil", pooling.check_avg, "normal", True)),
    (MeanOfPowers, pool("halved", pooling.check_lp, "normal", 2)),
    (UnsignedPower, pool("halved", pooling.check_lp, "normal", 2)),
    (LossNotDivided, cross_entropy(0)),
    (SmoothedOverTheOthers, cross_entropy(0.1)),
    (NoHalf, lambda ops: dense.check_squared_error(ops, (4, 3), "float32", "mean")),
    (UnbiasedNormalisation, norm(True)),
    (ConstantStatistics, norm(True)),
    (BiasedRunningVariance, norm(True)),
    (KeepsTooFew, lambda ops: dropout.check_dropout(ops, (40,), "float32", 0.5, dropout.KEYS[1])),
    (NotInverted, lambda ops: dropout.check_dropout(ops, (40,), "float32", 0.5, dropout.KEYS[1])),
    (NoBiasCorrection, adam()),
    (CoupledDecay, adam(weight_decay=0.1, decoupled=True)),
]


@pytest.mark.parametrize(("wrong", "check"), FAULTS, ids=[cls.__name__ for cls, _ in FAULTS])
def test_a_planted_fault_is_caught(wrong: type[NumpyOps], check: Callable[[Ops], None]) -> None:
    check(NumpyOps())
    with pytest.raises(AssertionError):
        check(wrong())
