"""What is printed is what the library computes; and a library that computes otherwise is found."""

import io
import re
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import gpucnn
from gpucnn.cli import main
from gpucnn.errors import ShapeError
from gpucnn.explain.text import WIDTH, plain
from gpucnn.ops.numpy_ops import NumpyOps
from tests.explain.walks import shown, summed, walk

PAIR = st.tuples(st.integers(1, 3), st.integers(1, 3))
SIDES = st.tuples(st.integers(0, 2), st.integers(0, 2))


@settings(max_examples=25)
@given(
    size=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    kernel=PAIR,
    stride=PAIR,
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    padding=st.tuples(SIDES, SIDES),
    seed=st.integers(0, 2**64 - 1),
)
def test_a_printed_convolution_is_the_library_s(**options: Any) -> None:
    conv = fitting("conv", rounding="floor", **options)
    ops = gpucnn.get_ops("cpu")
    keywords = {key: options[key] for key in ("stride", "padding", "dilation")}
    kernel = drawn_kernel(conv, options["kernel"])
    x, w = shown(conv, "x", 0)[None, None], kernel[None, None]
    if any(map(any, options["padding"])):
        (top, bottom), (left, right) = options["padding"]
        padded = shown(conv, "x, padded", 0)
        inside = padded[top : padded.shape[0] - bottom, left : padded.shape[1] - right]
        np.testing.assert_array_equal(inside, x[0, 0])
    y = ops.conv2d_forward(x, w, **keywords)
    np.testing.assert_array_equal(summed(conv, "y", y.shape[2:]), y[0, 0])
    dy = np.ascontiguousarray(shown(conv, "δ = ∂L/∂y", 0))[None, None]
    dx = ops.conv2d_backward_input(dy, w, x.shape, **keywords)
    np.testing.assert_array_equal(shown(conv, "dx"), dx[0, 0])
    dw = ops.conv2d_backward_weight(dy, x, w.shape, **keywords)
    np.testing.assert_array_equal(summed(conv, "dw", w.shape[2:]), dw[0, 0])
    assert f"= {dy.sum():g}\n" in plain(conv)
    assert max(map(len, plain(conv).splitlines())) <= WIDTH


@settings(max_examples=15)
@given(
    case=st.sampled_from(["pool", "pool-overlap", "avg-pool", "lp-pool"]),
    size=st.tuples(st.integers(2, 8), st.integers(2, 8)),
    kernel=PAIR,
    stride=PAIR,
    seed=st.integers(0, 1000),
)
def test_a_printed_pool_is_the_library_s(case: str, **options: Any) -> None:
    pool = fitting(case, rounding="floor", **options)
    ops, keywords = gpucnn.get_ops("cpu"), {"kernel_size": options["kernel"]}
    keywords["stride"] = options["stride"]
    x, dy = shown(pool, "x", 0)[None, None], shown(pool, "δ = ∂L/∂y", 0)[None, None]
    if case in ("pool", "pool-overlap"):
        y, argmax = ops.max_pool2d_forward(x, **keywords)
        np.testing.assert_array_equal(shown(pool, "argmax"), argmax[0, 0])
        dx = ops.max_pool2d_backward(dy, argmax, x.shape, **keywords)
    elif case == "avg-pool":
        y = ops.avg_pool2d_forward(x, **keywords)
        dx = ops.avg_pool2d_backward(dy, x.shape, **keywords)
        # 5 decimals are printed.
        np.testing.assert_allclose(summed(pool, "dx", x.shape[2:]), dx[0, 0], atol=5.1e-6)
    else:
        y = ops.lp_pool2d_forward(x, **keywords)
        dx = ops.lp_pool2d_backward(dy, x, y, **keywords)
    np.testing.assert_allclose(shown(pool, "y"), y[0, 0], rtol=1e-14)
    np.testing.assert_allclose(shown(pool, "dx"), dx[0, 0], rtol=1e-14)
    assert max(map(len, plain(pool).splitlines())) <= WIDTH


@pytest.mark.parametrize("case", ["im2col", "toeplitz"])
@settings(max_examples=10)
@given(
    size=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    kernel=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    stride=PAIR,
    padding=st.tuples(SIDES, SIDES),
    seed=st.integers(0, 1000),
)
def test_matrices_of_any_size_fit_the_page(case: str, **options: Any) -> None:
    """Their walks compare every result themselves."""
    lines = plain(fitting(case, rounding="floor", **options)).splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert sum(line.startswith("✓ agrees with Ops conv2d_") for line in lines) >= 2


@pytest.mark.parametrize(
    ("case", "method"),
    [
        ("conv", "_conv2d_forward"),
        ("conv", "_conv2d_backward_input"),
        ("conv", "_conv2d_backward_weight"),
        ("conv", "_conv2d_backward_bias"),
        ("channels", "_conv2d_backward_input"),
        ("channels", "_conv2d_backward_weight"),
        ("im2col", "_conv2d_backward_input"),
        ("im2col", "_conv2d_backward_weight"),
        ("toeplitz", "_conv2d_backward_input"),
        ("pool", "_max_pool2d_backward"),
        ("avg-pool", "_avg_pool2d_forward"),
        ("avg-pool", "_avg_pool2d_backward"),
        ("lp-pool", "_lp_pool2d_forward"),
        ("lp-pool", "_lp_pool2d_backward"),
        ("softmax", "_softmax_forward"),
        ("receptive-field", "_conv2d_backward_input"),
    ],
)
def test_a_library_that_computes_otherwise_is_found(
    case: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = getattr(NumpyOps, method)

    def wrong(self: NumpyOps, *args: Any) -> Any:
        result = right(self, *args).copy()
        result.flat[0] += 1
        return result

    walk(case)
    monkeypatch.setattr(NumpyOps, method, wrong)
    with pytest.raises(ArithmeticError):
        walk(case)


def fitting(case: str, **options: Any) -> Any:
    """The walk, or the next example where these sizes do not fit or are too large to draw."""
    try:
        return walk(case, **options)
    except ShapeError:
        assume(False)


def drawn_kernel(conv: Any, shape: tuple[int, int]) -> np.ndarray:
    kernel = shown(conv, "w", 0)
    assert kernel.shape == shape
    return np.ascontiguousarray(kernel)


@settings(max_examples=60)
@given(
    case=st.sampled_from(["conv-forward", "pool", "pool-overlap", "avg-pool", "lp-pool"]),
    size=st.none() | st.tuples(st.integers(1, 8), st.integers(1, 8)),
    kernel=st.none() | st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.none() | PAIR,
    padding=st.none() | st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
def test_every_remedy_works(case: str, **options: Any) -> None:
    given_options = {
        f"--{name}": f"{pair[0]}x{pair[1]}"
        for name, pair in options.items()
        if pair is not None and (name, case) != ("padding", "lp-pool")
    }
    status, message = tried(case, given_options)
    assume(status)
    for remedy in re.findall(r"(--\w+) ([\dx]+|floor)(?:,|$)", message.partition("work: ")[2]):
        assert tried(case, {**given_options, remedy[0]: remedy[1]}) == (0, ""), remedy


def tried(case: str, options: dict[str, str]) -> tuple[int, str]:
    """The command's status, and its message."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = main(["explain", case, *(word for pair in options.items() for word in pair)])
    return status, err.getvalue().strip()
