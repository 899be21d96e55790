"""Flatten, fully connected layers, dropout and batch norm, on the reference and every device."""

import numpy as np
import pytest

from gpucnn.errors import ShapeError
from gpucnn.layers import BatchNorm2d, Conv2d, DropBlock2d, Dropout, Dropout2d, Flatten, Linear
from gpucnn.ops.base import Ops
from gpucnn.ops.numpy_ops import NumpyOps
from gpucnn.reference.dense import flatten, linear_as_convolution, unflatten
from tests.layers.harness import run
from tests.ops.harness import assert_gradient, call
from tests.oracles.tolerance import assert_close
from tests.seeds.examples import equal, integers


@pytest.mark.seed("A14", "C6")
def test_flatten_is_channel_row_column(ops: Ops, dtype: str) -> None:
    """S2's 3x12x12 becomes 432; back, δ has only another shape."""
    x = integers((2, 3, 12, 12), dtype)
    layer = Flatten()
    assert layer.build((3, 12, 12), ops, 0, dtype=dtype) == (432,)
    y, dx = run(layer, x, x.reshape(2, 432))
    for c, h, w in np.ndindex(3, 12, 12):
        equal(y[:, c * 144 + h * 12 + w], x[:, c, h, w])
    equal(dx, x)
    equal(flatten(x), y)
    equal(unflatten(y, x.shape), x)


@pytest.mark.seed("A15", "S3:3")
def test_linear_is_a_convolution_with_a_kernel_of_the_whole_image(ops: Ops, dtype: str) -> None:
    x, dy = integers((4, 3, 4, 5), dtype), integers((4, 7), dtype, 1)
    w, b = integers((7, 60), dtype, 2), integers(7, dtype, 3)
    kernel = np.require(linear_as_convolution(w, (3, 4, 5)), dtype)
    assert kernel.shape == (7, 3, 4, 5)
    y = call(ops, "linear_forward", x.reshape(4, 60), w, b)
    equal(call(ops, "conv2d_forward", x, kernel, b).reshape(4, 7), y)
    dx, dw, db = call(ops, "linear_backward", dy, x.reshape(4, 60), w)
    delta = dy[:, :, None, None].copy()
    equal(call(ops, "conv2d_backward_input", delta, kernel, x.shape), dx.reshape(x.shape))
    equal(call(ops, "conv2d_backward_weight", delta, x, kernel.shape), dw.reshape(kernel.shape))
    equal(call(ops, "conv2d_backward_bias", delta), db)


@pytest.mark.seed("A15", "S3:3")
def test_the_layers_agree_too(ops: Ops, dtype: str) -> None:
    linear, conv = Linear(2), Conv2d(2, (2, 3))
    linear.build((12,), ops, 0, dtype=dtype)
    conv.build((2, 2, 3), ops, 0, dtype=dtype)
    w = integers((2, 12), dtype)
    linear.weight.value[...] = ops.asarray(w)
    conv.weight.value[...] = ops.asarray(w.reshape(2, 2, 2, 3))
    x, dy = integers((3, 2, 2, 3), dtype, 1), integers((3, 2), dtype, 2)
    y1, dx1 = run(linear, x.reshape(3, 12), dy)
    y2, dx2 = run(conv, x, dy[:, :, None, None].copy())
    equal(y2[:, :, 0, 0], y1)
    equal(dx2.reshape(3, 12), dx1)
    equal(ops.to_numpy(conv.weight.grad).reshape(2, 12), ops.to_numpy(linear.weight.grad))
    equal(ops.to_numpy(conv.bias.grad), ops.to_numpy(linear.bias.grad))


@pytest.mark.seed("A16", "S2:BP2", "S2:BP3", "S2:BP4", "S0:1")
def test_the_fully_connected_gradients_are_the_changes_of_the_loss(ops: Ops, dtype: str) -> None:
    """C = Σ δ·(Wa + b) is linear in each of them: a step of 1 changes it by its derivative."""
    a, w, b = integers((3, 4), dtype), integers((2, 4), dtype, 1), integers(2, dtype, 2)
    delta = integers((3, 2), dtype, 3)
    gradients = call(ops, "linear_backward", delta, a, w)
    equal(gradients[1], sum(np.outer(delta[n], a[n]) for n in range(3)))
    equal(gradients[0], np.stack([w.T @ delta[n] for n in range(3)]))

    def loss(*values: np.ndarray) -> float:
        return float((call(ops, "linear_forward", *values) * delta).sum())

    at = (a, w, b)
    for which, gradient in enumerate(gradients):
        for place in np.ndindex(gradient.shape):
            moved = [value.copy() for value in at]
            moved[which][place] += 1
            assert loss(*moved) - loss(*at) == gradient[place]


DRAW = {"rate": 0.5, "seed": 11, "layer": 2, "step": 5}
KINDS = {"dropout_forward": {}, "dropout2d_forward": {}, "drop_block2d_forward": {"block_size": 3}}


@pytest.mark.seed("A23")
@pytest.mark.parametrize("kind", KINDS)
def test_dropout_scales_what_stays_and_backward_uses_the_same_mask(
    ops: Ops, dtype: str, kind: str
) -> None:
    """And every device draws what `cpu` draws."""
    x, dy = 1 + abs(integers((2, 4, 6, 7), dtype)), integers((2, 4, 6, 7), dtype, 1)
    y, mask = call(ops, kind, x, **DRAW, **KINDS[kind])
    assert set(np.unique(mask)) == {0, 2}, "rate 0.5: what stays counts twice"
    equal(y, x * mask)
    equal(call(ops, "dropout_backward", dy, mask), dy * mask)
    again = call(ops, kind, x, **DRAW, **KINDS[kind])
    equal(again[1], mask)
    other = call(ops, kind, x, **{**DRAW, "seed": 12}, **KINDS[kind])
    assert (other[1] != mask).any()
    equal(call(NumpyOps(), kind, x, **DRAW, **KINDS[kind])[1], mask)


@pytest.mark.seed("A23")
def test_whole_channels_and_whole_blocks_go(ops: Ops, dtype: str) -> None:
    x = np.ones((8, 8, 9, 9), dtype)
    channels, mask = call(ops, "dropout2d_forward", x, **DRAW)
    assert mask.shape == (8, 8, 1, 1)
    assert np.ptp(channels, axis=(2, 3)).max() == 0
    _, blocks = call(ops, "drop_block2d_forward", x, **{**DRAW, "rate": 0.1}, block_size=3)
    gone = blocks == 0
    assert 0 < gone.mean() < 0.2
    # A cell that goes has a 3x3 square of cells around it that go; squares are cut at the border.
    beyond = np.pad(gone, ((0, 0), (0, 0), (2, 2), (2, 2)), constant_values=True)
    squares = np.lib.stride_tricks.sliding_window_view(beyond, (3, 3), (2, 3)).all(axis=(4, 5))
    covering = np.lib.stride_tricks.sliding_window_view(squares, (3, 3), (2, 3)).any(axis=(4, 5))
    equal(gone, covering)


@pytest.mark.seed("A23")
def test_in_evaluation_dropout_is_the_identity(ops: Ops, dtype: str) -> None:
    x = integers((2, 3, 5, 5), dtype)
    for layer in (Dropout(0.5), Dropout2d(0.5), DropBlock2d(0.5, 2)):
        layer.build((3, 5, 5), ops, 0, dtype=dtype)
        equal(run(layer, x, train=False), x)
        assert (run(layer, x, x)[0] != x).any()


GAMMA, BETA = np.array([2.0, -1.0]), np.array([0.5, 3.0])


@pytest.mark.seed("A24")
def test_batch_norm_by_hand(ops: Ops, dtype: str) -> None:
    """Channel 0 holds 1, 3 (mean 2, variance 1), channel 1 holds 0, 6 (mean 3, variance 9)."""
    x = np.array([[[[1]], [[0]]], [[[3]], [[6]]]], dtype)
    gamma, beta = GAMMA.astype(dtype), BETA.astype(dtype)
    running = np.zeros(2, dtype), np.ones(2, dtype)
    kw = {"eps": 0.0, "momentum": 0.5}
    y, _ = call(ops, "batch_norm2d_forward", x, gamma, beta, *running, writes=(3, 4),
                train=True, **kw)  # fmt: skip
    # A mean, a variance and a root of two exact terms, then a product and a sum.
    expected = [[-2 + 0.5, 1 + 3], [2 + 0.5, -1 + 3]]
    assert_close(y[:, :, 0, 0], expected, terms=8, magnitude=4)
    assert_close(running[0], [1.0, 1.5], terms=4)
    assert_close(running[1], [0.5 + 1, 0.5 + 9], terms=6)  # unbiased: 2 and 18
    y, _ = call(ops, "batch_norm2d_forward", x, gamma, beta, *running, train=False, **kw)
    by_running = (x[:, :, 0, 0] - [1, 1.5]) / np.sqrt([1.5, 9.5]) * gamma + beta
    assert_close(y[:, :, 0, 0], by_running, terms=16, magnitude=abs(by_running) + 4)


@pytest.mark.seed("A24")
@pytest.mark.parametrize("train", [True, False])
def test_batch_norms_gradient_goes_through_mean_and_variance(ops: Ops, train: bool) -> None:
    x = np.random.default_rng(0).permutation(np.linspace(-2, 2, 24)).reshape(2, 2, 2, 3)
    weights = np.random.default_rng(1).uniform(-1, 1, x.shape)
    running = np.array([0.1, -0.2]), np.array([1.5, 0.7])

    def y_of(x: np.ndarray, gamma: np.ndarray, beta: np.ndarray) -> tuple[np.ndarray, object]:
        statistics = [a.copy() for a in running]
        return call(ops, "batch_norm2d_forward", x, gamma, beta, *statistics, writes=(3, 4),
                    train=train)  # fmt: skip

    _, saved = y_of(x, GAMMA, BETA)
    dx, dgamma, dbeta = call(ops, "batch_norm2d_backward", weights, saved, GAMMA)
    # (x - mean)/sd with 12 values of sd > 1 a channel: third derivatives below 40.
    curvature = 80
    assert_gradient(lambda at: float((y_of(at, GAMMA, BETA)[0] * weights).sum()), x, dx,
                    curvature=curvature)  # fmt: skip
    assert_gradient(lambda at: float((y_of(x, at, BETA)[0] * weights).sum()), GAMMA, dgamma)
    assert_gradient(lambda at: float((y_of(x, GAMMA, at)[0] * weights).sum()), BETA, dbeta)
    if train:
        # A shift of a channel changes nothing. Each dx sums 12 terms of at most 2|γ|, 12 times.
        assert_close(dx.sum(axis=(0, 2, 3)), [0, 0], terms=48, magnitude=24 * abs(GAMMA))


@pytest.mark.seed("A24")
def test_one_value_a_channel_has_no_variance(ops: Ops, dtype: str) -> None:
    layer = BatchNorm2d()
    layer.build((3, 1, 1), ops, 0, dtype=dtype)
    with pytest.raises(ShapeError, match="more than one value a channel"):
        run(layer, np.zeros((1, 3, 1, 1), dtype))
