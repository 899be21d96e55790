"""The literal convolution against sums over single products, NumPy and PyTorch. Whole numbers."""

from typing import Any

import numpy as np
import pytest

from gpucnn.errors import ConfigError, ShapeError
from gpucnn.reference import convolution as ref
from tests.oracles.convolution import Convolution, sides

draw = np.random.default_rng(4).integers

# x, w, settings: every setting alone, then together; paddings beyond F - 1, remainders, groups.
CASES: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
    ((2, 3, 5, 4), (2, 3, 2, 3), {}),
    ((1, 2, 6, 7), (3, 2, 3, 2), {"stride": (2, 3)}),
    ((1, 1, 6, 6), (1, 1, 3, 3), {"stride": 2}),
    ((2, 2, 3, 4), (1, 2, 2, 2), {"padding": (3, 1)}),
    ((1, 2, 4, 4), (2, 2, 3, 1), {"padding": ((2, 0), (1, 3)), "stride": 2}),
    ((1, 2, 7, 6), (2, 2, 3, 2), {"dilation": (2, 3)}),
    ((2, 4, 4, 3), (6, 2, 2, 2), {"groups": 2}),
    ((1, 4, 3, 4), (4, 1, 2, 2), {"groups": 4, "padding": 1, "stride": 2}),
    (
        (1, 4, 6, 7),
        (2, 2, 2, 3),
        {"stride": (3, 2), "padding": ((1, 4), (0, 2)), "dilation": 2, "groups": 2},
    ),
    ((0, 1, 3, 3), (1, 1, 2, 2), {}),
]


@pytest.mark.seed("A3", "A4", "A5", "A6", "A7", "S4:15", "S4:18")
@pytest.mark.parametrize(("x_shape", "w_shape", "settings"), CASES)
def test_the_three_passes_are_their_sums(
    x_shape: tuple[int, ...], w_shape: tuple[int, ...], settings: dict[str, Any]
) -> None:
    oracle = Convolution(x_shape, w_shape, **settings)
    x, w, b = draw(-9, 10, x_shape), draw(-9, 10, w_shape), draw(-9, 10, w_shape[0])
    dy = draw(-9, 10, oracle.y_shape)
    y = ref.conv2d_forward(x, w, b, **settings)
    np.testing.assert_array_equal(y, oracle.forward(x, w, b))
    dx = ref.conv2d_backward_input(dy, w, x_shape, **settings)
    np.testing.assert_array_equal(dx, oracle.backward_input(dy, w))
    dw = ref.conv2d_backward_weight(dy, x, w_shape, **settings)
    np.testing.assert_array_equal(dw, oracle.backward_weight(dy, x))
    np.testing.assert_array_equal(ref.conv2d_backward_bias(dy), dy.sum(axis=(0, 2, 3)))


@pytest.mark.parametrize(("x_shape", "w_shape", "settings"), CASES[:-1])
def test_pytorch_agrees(
    x_shape: tuple[int, ...], w_shape: tuple[int, ...], settings: dict[str, Any]
) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")
    x, w, b = (
        torch.tensor(draw(-9, 10, shape), dtype=torch.float64, requires_grad=True)
        for shape in (x_shape, w_shape, w_shape[:1])
    )
    (top, bottom), (left, right) = sides(settings.get("padding", 0))
    rest = {key: value for key, value in settings.items() if key != "padding"}
    x_pad = torch.nn.functional.pad(x, (left, right, top, bottom))
    expected = torch.nn.functional.conv2d(x_pad, w, b, **rest)
    dy = draw(-9, 10, tuple(expected.shape))
    expected.backward(torch.tensor(dy, dtype=torch.float64))
    xs, ws = x.detach().numpy(), w.detach().numpy()
    y = ref.conv2d_forward(xs, ws, b.detach().numpy(), **settings)
    np.testing.assert_array_equal(y, expected.detach().numpy())
    dx = ref.conv2d_backward_input(dy, ws, x_shape, **settings)
    np.testing.assert_array_equal(dx, x.grad.numpy())
    dw = ref.conv2d_backward_weight(dy, xs, w_shape, **settings)
    np.testing.assert_array_equal(dw, w.grad.numpy())
    np.testing.assert_array_equal(ref.conv2d_backward_bias(dy), b.grad.numpy())


@pytest.mark.seed("C1", "E11", "S4:1", "S4:2", "S4:3", "S4:7")
def test_along_a_line_they_are_numpys() -> None:
    line, kernel = draw(-9, 10, 7), draw(-9, 10, 3)
    np.testing.assert_array_equal(
        ref.correlate([line], [kernel])[0], np.correlate(line, kernel, "valid")
    )
    np.testing.assert_array_equal(
        ref.convolve([line], [kernel])[0], np.convolve(line, kernel, "valid")
    )
    np.testing.assert_array_equal(
        ref.full_correlation([line], [kernel])[0], np.correlate(line, kernel, "full")
    )


@pytest.mark.seed("C1", "S4:2")
def test_convolution_is_equation_2_on_a_map_that_reaches_back() -> None:
    """(I * K)(i, j) = Σ I(i-m, j-n) K(m, n), our (i, j) counting from the first whole window."""
    image, kernel = draw(-9, 10, (4, 5)), draw(-9, 10, (2, 3))
    result = ref.convolve(image, kernel)
    for i, j in np.ndindex(result.shape):
        products = [image[i + 1 - m, j + 2 - n] * kernel[m, n] for m, n in np.ndindex(2, 3)]
        assert result[i, j] == sum(products)
    np.testing.assert_array_equal(result, ref.correlate(image, ref.rot180(kernel)))


def test_a_turned_kernel_and_inserted_zeros() -> None:
    np.testing.assert_array_equal(ref.rot180([[1, 2, 3], [4, 5, 6]]), [[6, 5, 4], [3, 2, 1]])
    spread = [[1, 0, 0, 2], [0, 0, 0, 0], [3, 0, 0, 4]]
    np.testing.assert_array_equal(ref.insert_zeros([[1, 2], [3, 4]], (2, 3)), spread)
    padded = [[0, 0, 0, 0], [0, 1, 2, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(ref.zero_pad([[1, 2]], ((1, 2), 1)), padded)


@pytest.mark.seed("A3")
def test_depths_that_differ_are_refused() -> None:
    x, w, dy = np.zeros((1, 2, 4, 4)), np.zeros((1, 3, 2, 2)), np.zeros((1, 1, 3, 3))
    words = "x with 2 channels needs kernels of depth 2/1 .* got 1 filters of depth 3"
    with pytest.raises(ShapeError, match=words):
        ref.conv2d_forward(x, w)
    with pytest.raises(ShapeError, match=words):
        ref.conv2d_backward_input(dy, w, x.shape)
    with pytest.raises(ShapeError, match=words):
        ref.conv2d_backward_weight(dy, x, w.shape)
    with pytest.raises(ShapeError, match="groups=2 divides, got 3 filters"):
        ref.conv2d_forward(x, np.zeros((3, 1, 2, 2)), groups=2)
    for function in (ref.correlate, ref.convolve):
        with pytest.raises(ShapeError, match="window of 3x3 does not fit into a map of 2x3"):
            function(np.zeros((2, 3)), np.zeros((3, 3)))


@pytest.mark.parametrize(
    ("setting", "value"), [("stride", 0), ("padding", -1), ("dilation", (1, 0)), ("padding", "1")]
)
def test_bad_settings_are_named(setting: str, value: Any) -> None:
    x = np.zeros((1, 1, 4, 4))
    with pytest.raises(ConfigError, match=f"{setting} must be"):
        ref.conv2d_forward(x, np.zeros((1, 1, 2, 2)), **{setting: value})


def test_ranks_and_shapes_that_do_not_fit_are_named() -> None:
    x, w = np.zeros((1, 1, 4, 4)), np.zeros((1, 1, 2, 2))
    with pytest.raises(ShapeError, match=r"x must have 4 axes, got shape \(1, 4, 4\)"):
        ref.conv2d_forward(x[0], w)
    with pytest.raises(ShapeError, match=r"image must have 2 axes, got shape \(4,\)"):
        ref.correlate(x[0, 0, 0], w[0, 0])
    for size in (2, 4):
        dy = np.zeros((1, 1, size, 3))
        words = rf"dy must have y's shape \(1, 1, 3, 3\), got \(1, 1, {size}, 3\)"
        with pytest.raises(ShapeError, match=words):
            ref.conv2d_backward_input(dy, w, x.shape)
        with pytest.raises(ShapeError, match=words):
            ref.conv2d_backward_weight(dy, x, w.shape)
