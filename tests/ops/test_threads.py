"""The cpu device's threads: same bits for any number of them, and the BLAS setting restored."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from gpucnn.ops.cpu import parallel
from gpucnn.ops.numpy_ops import NumpyOps
from tests.ops.harness import normal

X, W = normal((16, 16, 24, 24), "float32", 1), normal((24, 16, 3, 3), "float32", 2)
DY = normal((16, 24, 24, 24), "float32", 3)
ROWS, MATRIX = normal((700, 500), "float32", 4), normal((300, 500), "float32", 5)
GAMMA = normal((16,), "float32", 6)


def _batch_norm(ops: NumpyOps) -> Any:
    stats = np.zeros(16, np.float32), np.ones(16, np.float32)
    y, saved = ops.batch_norm2d_forward(X, GAMMA, GAMMA, *stats, train=True)
    return y, *stats, *ops.batch_norm2d_backward(X, saved, GAMMA)


CALLS: dict[str, Callable[[NumpyOps], Any]] = {
    "conv2d_forward": lambda ops: ops.conv2d_forward(X, W, padding=1),
    "conv2d_backward_input": lambda ops: ops.conv2d_backward_input(DY, W, X.shape, padding=1),
    "conv2d_backward_weight": lambda ops: ops.conv2d_backward_weight(DY, X, W.shape, padding=1),
    "conv2d_backward_bias": lambda ops: ops.conv2d_backward_bias(DY),
    "linear_forward": lambda ops: ops.linear_forward(ROWS, MATRIX),
    "linear_backward": lambda ops: ops.linear_backward(ROWS[:, :300].copy(), ROWS, MATRIX),
    "batch_norm2d": _batch_norm,
}


@pytest.mark.parametrize("name", CALLS)
def test_bits_do_not_depend_on_the_threads(name: str) -> None:
    ops, results = NumpyOps(), []
    for threads in (1, 2, 3):
        with threadpool_limits(threads, user_api="blas"):
            assert parallel.threads() == threads
            results.append(CALLS[name](ops))
    first, *others = [list(r) if isinstance(r, tuple) else [r] for r in results]
    for other in others:
        for a, b in zip(first, other, strict=True):
            np.testing.assert_array_equal(a, b)


def _settings() -> list[int]:
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_the_blas_setting_is_restored_after_concurrent_calls_and_errors() -> None:
    with threadpool_limits(2, user_api="blas"):
        before = _settings()
        with ThreadPoolExecutor(4) as users:
            list(users.map(lambda _: CALLS["conv2d_forward"](NumpyOps()), range(8)))
        assert _settings() == before
        with pytest.raises(ZeroDivisionError):
            parallel.run([lambda: 1 // 0, lambda: 2])
        assert _settings() == before


def test_ranges_cover_everything_once_and_in_order() -> None:
    for count, elements in ((0, 0), (1, 10), (7, 10**7), (100, 10**8)):
        ranges = parallel.ranges(count, elements)
        assert [i for low, high in ranges for i in range(low, high)] == list(range(count))
