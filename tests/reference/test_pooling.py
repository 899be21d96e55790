"""The literal pools against PyTorch, selection matrices, differences and numbers by hand."""

from typing import Any

import numpy as np
import pytest

from gpucnn.errors import ConfigError, ShapeError
from gpucnn.reference import matrices, pooling
from gpucnn.reference.windows import Windows
from tests.ops.harness import assert_gradient, normal
from tests.oracles.tolerance import assert_close

draw = np.random.default_rng(3).integers

# x's shape and the settings; whole numbers make sums exact.
CASES: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((2, 3, 4, 6), {"kernel_size": 2}),
    ((1, 2, 5, 7), {"kernel_size": 3, "stride": 2}),
    ((1, 2, 5, 4), {"kernel_size": (2, 3), "stride": (2, 1)}),
    ((2, 1, 4, 5), {"kernel_size": 3, "stride": 1, "padding": 1}),
    ((1, 1, 7, 6), {"kernel_size": 2, "stride": 3}),
    ((1, 2, 3, 4), {"kernel_size": (3, 4)}),
    ((0, 2, 4, 4), {"kernel_size": 2}),
]


@pytest.mark.seed("A9", "A10", "A11", "S3:4.2", "S3:4.6")
@pytest.mark.parametrize(("shape", "settings"), CASES)
def test_pytorch_agrees(shape: tuple[int, ...], settings: dict[str, Any]) -> None:
    """Ties and all: PyTorch too takes the first maximum in reading order."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")
    numbers = draw(-3, 4, shape).astype(np.float64)
    x = torch.tensor(numbers, requires_grad=True)
    expected, places = torch.nn.functional.max_pool2d(x, **settings, return_indices=True)
    y, argmax = pooling.max_pool2d(numbers, **settings)
    np.testing.assert_array_equal(y, expected.detach().numpy())
    windows = Windows.over(shape, **settings)
    for n, c, p, q in np.ndindex(*y.shape):
        cells = {cell.place: cell for cell in windows.cells(p, q)}
        cell = cells[int(argmax[n, c, p, q])]
        assert cell.row * shape[3] + cell.column == places[n, c, p, q]
    dy = draw(-9, 10, y.shape).astype(np.float64)
    expected.backward(torch.tensor(dy))
    dx = pooling.max_pool2d_backward(dy, argmax, shape, **settings)
    np.testing.assert_array_equal(dx, x.grad.numpy())

    for count_include_pad in (True, False):
        x.grad = None
        options = {**settings, "count_include_pad": count_include_pad}
        expected = torch.nn.functional.avg_pool2d(x, **options)
        y = pooling.avg_pool2d(numbers, **options)
        # Both round a quotient, and PyTorch's sum of quotients may differ in its order.
        assert_close(y, expected.detach().numpy(), terms=2, what="y")
        expected.backward(torch.tensor(dy))
        dx = pooling.avg_pool2d_backward(dy, shape, **options)
        size = pooling.avg_pool2d_backward(abs(dy), shape, **options)
        assert_close(dx, x.grad.numpy(), terms=16, magnitude=size, what="dx")


@pytest.mark.seed("C7", "A27", "S3:4.4", "S3:4.5")
@pytest.mark.parametrize("tie_break", pooling.TIE_BREAKS)
@pytest.mark.parametrize(
    ("shape", "kernel_size", "stride"), [((2, 4, 6), 2, 2), ((3, 5, 4), (3, 2), 1)]
)
def test_a_max_pool_is_its_matrix(
    shape: tuple[int, ...], kernel_size: Any, stride: int, tie_break: str
) -> None:
    """vec(y) = S vec(x), ∂z/∂vec(x) = Sᵀ ∂z/∂vec(y), also where windows overlap."""
    x = draw(0, 3, shape)
    y, argmax = pooling.max_pool2d(x[None], kernel_size, stride, tie_break=tie_break)
    S = matrices.pool_matrix(argmax[0], shape, kernel_size, stride)
    np.testing.assert_array_equal(S @ matrices.vec(x), matrices.vec(y[0]))
    dy = draw(-9, 10, y.shape)
    dx = pooling.max_pool2d_backward(dy, argmax, (1, *shape), kernel_size, stride)
    np.testing.assert_array_equal(S.T @ matrices.vec(dy[0]), matrices.vec(dx[0]))


@pytest.mark.seed("C7")
def test_ties_and_nan() -> None:
    """[[1, 5], [5, 5]]: (0, 1) in reading order, (1, 0) by S3's rule; a first NaN wins."""
    tie = [[[[1, 5], [5, 5]]]]
    assert pooling.max_pool2d(tie, 2)[1].item() == 1
    assert pooling.max_pool2d(tie, 2, tie_break="column_major")[1].item() == 2
    for tie_break in pooling.TIE_BREAKS:
        y, argmax = pooling.max_pool2d([[[[9, np.nan, np.nan, 7]]]], (1, 4), tie_break=tie_break)
        assert np.isnan(y).all()
        assert argmax.item() == 1
    # Padding is no 0: it never wins.
    assert pooling.max_pool2d([[[[-4.0]]]], 3, 1, padding=1)[0].item() == -4
    low = pooling.max_pool2d(np.full((1, 1, 2, 2), -np.inf), 2)
    assert (low[0].item(), low[1].item()) == (-np.inf, 0)


@pytest.mark.seed("P1", "P2", "S0:3", "E18")
def test_upsample_and_what_the_two_criteria_make_of_it() -> None:
    """S0 §3: a δ fills its own block; MAX keeps one place of it, Average a share of each."""
    delta = np.array([[2.0, 8], [4, 6]])
    blocks = pooling.upsample(delta, 2)
    np.testing.assert_array_equal(blocks, [[2, 2, 8, 8], [2, 2, 8, 8], [4, 4, 6, 6], [4, 4, 6, 6]])
    argmax = np.array([[[[0, 3], [1, 2]]]])
    winners = np.array([[1, 0, 0, 0], [0, 0, 0, 1], [0, 1, 0, 0], [0, 0, 1, 0]])
    shape = (1, 1, 4, 4)
    by_max = pooling.max_pool2d_backward(delta[None, None], argmax, shape, 2)
    np.testing.assert_array_equal(by_max[0, 0], blocks * winners)
    by_average = pooling.avg_pool2d_backward(delta[None, None], shape, 2)
    np.testing.assert_array_equal(by_average[0, 0], blocks / 4)
    np.testing.assert_array_equal(
        by_average[0, 0],
        [[0.5, 0.5, 2, 2], [0.5, 0.5, 2, 2], [1, 1, 1.5, 1.5], [1, 1, 1.5, 1.5]],
    )
    # A δ with a ring of zeros would be 5x5 here.
    assert pooling.upsample(np.ones((3, 3)), 2).shape == (6, 6)
    assert pooling.upsample(np.ones((2, 4, 3, 1)), (2, 5)).shape == (2, 4, 6, 5)


@pytest.mark.seed("A12")
@pytest.mark.parametrize("size", [(3, 5), (7, 2), (1, 1)])
def test_global_average(size: tuple[int, int]) -> None:
    """64 maps of any size give 64 numbers; backward is the same all over a map."""
    x = draw(-9, 10, (2, 64, *size)).astype(np.float64)
    y = pooling.global_avg_pool2d(x)
    assert y.shape == (2, 64)
    assert_close(y, x.mean(axis=(2, 3)), terms=2 + x[0, 0].size, magnitude=abs(x).mean((2, 3)))
    dy = normal((2, 64), "float64")
    dx = pooling.global_avg_pool2d_backward(dy, x.shape)
    np.testing.assert_array_equal(
        dx, np.broadcast_to((dy / x[0, 0].size)[..., None, None], x.shape)
    )


@pytest.mark.seed("A13")
@pytest.mark.parametrize(("kernel_size", "stride"), [(2, None), ((2, 3), 1)])
@pytest.mark.parametrize("p", [1, 2, 3])
def test_powers(kernel_size: Any, stride: Any, p: float) -> None:
    """Against sums of whole windows, and the gradient against differences."""
    # From 0.5 up, either sign: away from the bend of |x| at 0. Third derivatives stay below 100.
    numbers = np.random.default_rng(1)
    x = numbers.uniform(0.5, 2, (1, 2, 4, 4)) * numbers.choice([-1, 1], (1, 2, 4, 4))
    y = pooling.lp_pool2d(x, kernel_size, stride, p)
    if kernel_size == 2:
        blocks = abs(x).reshape(1, 2, 2, 2, 2, 2)
        assert_close(y, (blocks**p).sum(axis=(3, 5)) ** (1 / p), terms=24)
    dy = numbers.uniform(-1, 1, y.shape)
    assert_gradient(
        lambda x: float((dy * pooling.lp_pool2d(x, kernel_size, stride, p)).sum()),
        x,
        pooling.lp_pool2d_backward(dy, x, y, kernel_size, stride, p),
        curvature=100,
    )
    zero = np.zeros((1, 1, 2, 2))
    flat = pooling.lp_pool2d(zero, 2, p=p)
    assert not pooling.lp_pool2d_backward(np.ones_like(flat), zero, flat, 2, p=p).any()


def test_bad_arguments() -> None:
    x = np.zeros((1, 1, 4, 4))
    with pytest.raises(ConfigError, match=r"tie_break must be one of .*'last'"):
        pooling.max_pool2d(x, 2, tie_break="last")
    with pytest.raises(ConfigError, match=r"stride must be a whole number of at least 1 .* got 0"):
        pooling.avg_pool2d(x, 2, stride=0)
    with pytest.raises(ShapeError, match=r"padding along the height must be less than .* 2"):
        pooling.avg_pool2d(x, 2, padding=2)
    with pytest.raises(ShapeError, match="a window of 5 does not fit into the height 4"):
        pooling.max_pool2d(x, 5)
    with pytest.raises(ShapeError, match=r"x must be \(N, C, H, W\)"):
        pooling.max_pool2d(x[0], 2)
    with pytest.raises(ShapeError, match=r"dy must have y's shape \(1, 1, 2, 2\)"):
        pooling.avg_pool2d_backward(np.zeros((1, 1, 1, 2)), x.shape, 2)
