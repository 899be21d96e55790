"""Convolution and its gradients as literal sums over (n, k, p, q, c, r, s)."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np


def output_size(
    size: int, kernel: int, stride: int, padding: tuple[int, int], dilation: int
) -> int:
    """How many windows fit, counted one by one."""
    last = size + padding[0] + padding[1] - 1
    count = 0
    while count * stride + dilation * (kernel - 1) <= last:
        count += 1
    return count


class Convolution:
    """A geometry; padding is ((top, bottom), (left, right))."""

    def __init__(
        self,
        x_shape: Sequence[int],
        w_shape: Sequence[int],
        *,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> None:
        self.x_shape, self.w_shape, self.groups = tuple(x_shape), tuple(w_shape), groups
        self.stride, self.dilation = both(stride), both(dilation)
        self.padding = sides(padding)
        p, q = (
            output_size(
                x_shape[2 + a], w_shape[2 + a], self.stride[a], self.padding[a], self.dilation[a]
            )
            for a in (0, 1)
        )
        self.y_shape = (x_shape[0], w_shape[0], p, q)

    def terms(self) -> Iterator[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]:
        """The places in y, x and w that every product of the sum joins."""
        images, _, height, width = self.x_shape
        filters, channels, rows, columns = self.w_shape
        _, _, p_size, q_size = self.y_shape
        for n in range(images):
            for k in range(filters):
                group = k // (filters // self.groups)
                for p in range(p_size):
                    for q in range(q_size):
                        for c in range(channels):
                            for r in range(rows):
                                i = p * self.stride[0] + r * self.dilation[0] - self.padding[0][0]
                                if not 0 <= i < height:
                                    continue
                                for s in range(columns):
                                    j = q * self.stride[1] + s * self.dilation[1]
                                    j -= self.padding[1][0]
                                    if 0 <= j < width:
                                        x_place = (n, group * channels + c, i, j)
                                        yield (n, k, p, q), x_place, (k, c, r, s)

    def forward(self, x: np.ndarray, w: np.ndarray, b: np.ndarray | None = None) -> np.ndarray:
        """y[n,k,p,q] = b[k] + Σ x·w."""
        y = _zeros(self.y_shape)
        xs, ws = _values(x), _values(w)
        for y_at, x_at, w_at in self.terms():
            y[y_at] += xs[x_at] * ws[w_at]
        result = _array(y, self.y_shape)
        return result if b is None else result + b.astype(np.float64)[:, None, None]

    def backward_input(self, dy: np.ndarray, w: np.ndarray) -> np.ndarray:
        """dx: every dy goes back to the cells it came from."""
        dx = _zeros(self.x_shape)
        ds, ws = _values(dy), _values(w)
        for y_at, x_at, w_at in self.terms():
            dx[x_at] += ds[y_at] * ws[w_at]
        return _array(dx, self.x_shape)

    def backward_weight(self, dy: np.ndarray, x: np.ndarray) -> np.ndarray:
        """dw: the sum over the batch and all places."""
        dw = _zeros(self.w_shape)
        ds, xs = _values(dy), _values(x)
        for y_at, x_at, w_at in self.terms():
            dw[w_at] += ds[y_at] * xs[x_at]
        return _array(dw, self.w_shape)


def both(value: Any) -> tuple[int, int]:
    """(height, width) from an int or a pair."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def sides(value: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    """((top, bottom), (left, right)) from an int, a pair, or four numbers in pairs."""
    high, wide = both(value)
    return both(high), both(wide)


def _zeros(shape: Sequence[int]) -> dict[tuple[int, ...], float]:
    return dict.fromkeys(np.ndindex(*shape), 0.0)


def _values(a: np.ndarray) -> dict[tuple[int, ...], float]:
    return dict(zip(np.ndindex(*a.shape), a.astype(np.float64).ravel().tolist(), strict=True))


def _array(values: dict[tuple[int, ...], float], shape: Sequence[int]) -> np.ndarray:
    return np.array(list(values.values()), dtype=np.float64).reshape(shape)
