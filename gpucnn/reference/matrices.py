"""S3's matrices: vec, im2col, φ, M, S, and S2's convolution matrix C, element by element.

They are oracles, not a way to compute: each linear map of the network as the matrix it is, so that
its gradient is the transpose. vec stacks columns (S3), so an element (d, i, j) of a (D, H, W) array
lies at d·H·W + j·H + i; only `toeplitz_matrix` counts in reading order, as G9 does.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gpucnn.errors import ConfigError, ShapeError
from gpucnn.implements import implements
from gpucnn.reference.sizes import Pair, Size, pair, window_grid

Array = NDArray[np.float64]
Place = tuple[int, int, int]
"""(channel, row, column)."""


@dataclass(frozen=True)
class SparseMatrix:
    """A matrix by its non-zero elements: values[k] at (rows[k], columns[k])."""

    rows: tuple[int, ...]
    columns: tuple[int, ...]
    values: tuple[float, ...]
    shape: Pair

    @property
    def T(self) -> "SparseMatrix":
        return SparseMatrix(self.columns, self.rows, self.values, self.shape[::-1])

    def __matmul__(self, other: ArrayLike) -> Array:
        """The product with a vector or a matrix."""
        other = np.asarray(other, dtype=np.float64)
        if other.shape[0] != self.shape[1]:
            raise ShapeError(f"a {self.shape} matrix cannot multiply an array of {other.shape}")
        product = np.zeros((self.shape[0], *other.shape[1:]))
        for row, column, value in zip(self.rows, self.columns, self.values, strict=True):
            product[row] += value * other[column]
        return product

    def dense(self) -> Array:
        """With all its zeros."""
        return self @ np.eye(self.shape[1])


@implements("S3:2.7", "C8")
def vec(x: ArrayLike) -> Array:
    """The columns of a matrix one after the other; of more axes, vec of each x[0], x[1], …

    S3 (2.7). A vector is its own vec.
    """
    x = np.asarray(x, dtype=np.float64)
    if x.ndim <= 1:
        return np.array(x)
    if x.ndim == 2:
        return np.ravel(x, order="F")
    return np.concatenate([vec(part) for part in x])


def unvec(v: ArrayLike, shape: Sequence[int]) -> Array:
    """The array of `shape` whose vec is `v`."""
    *front, height, width = shape
    columns = np.asarray(v, dtype=np.float64).reshape(*front, width, height)
    return np.ascontiguousarray(np.swapaxes(columns, -1, -2))


@implements("C8", "G2", "S3:2.2", "S3:2.5", "A28")
def im2col(x: ArrayLike, kernel_size: Size, stride: Size = 1, order: str = "C") -> Array:
    """(D·H'·W', windows): each column one window of x (D, H, W), or of a map (H, W), as a vector.

    order "F" is S3's (and MATLAB's): windows from top to bottom, then left to right, and each
    window's cells likewise. order "C" reads both in lines. Channels lie below each other (2.5).
    """
    if order not in ("C", "F"):
        raise ConfigError(f"order must be 'C' or 'F', got {order!r}")
    x = np.asarray(x, dtype=np.float64)
    x = x[None] if x.ndim == 2 else x
    D, H, W = x.shape
    (high, wide), (down, right) = pair(kernel_size, "kernel_size"), pair(stride, "stride")
    P, Q = window_grid((H, W), kernel_size, stride)
    cells = _scan(high, wide, order)
    matrix = np.zeros((D * high * wide, P * Q))
    for column, (p, q) in enumerate(_scan(P, Q, order)):
        for d in range(D):
            for cell, (i, j) in enumerate(cells):
                matrix[d * high * wide + cell, column] = x[d, p * down + i, q * right + j]
    return matrix


@implements("S3:2.6")
def phi(x: ArrayLike, kernel_size: Size, stride: Size = 1) -> Array:
    """φ(x) = im2col(x)ᵀ in S3's order, H_{k+1}W_{k+1} x H'W'D_k   (2.6)."""
    return np.array(im2col(x, kernel_size, stride, order="F").T)


@implements("S3:2.8")
def kernel_matrix(w: ArrayLike) -> Array:
    """C = (vec κ₁, vec κ₂, …), H'W'D_k x D_{k+1}, for filters w (D_{k+1}, D_k, H', W')   (2.8)."""
    return np.stack([vec(kernel) for kernel in np.asarray(w, dtype=np.float64)], axis=1)


@implements("S3:2.14", "S3:2.15", "S3:2.16", "S3:2.17", "E26")
def window_map(
    p: int,
    q: int,
    x_shape: Sequence[int],
    kernel_size: Size,
    stride: Size = 1,
) -> Place:
    """m: the (d_k, i_k, j_k) of x that φ(x)[p, q] holds. Many (p, q) share one place.

    p = i_{k+1} + H_{k+1}·j_{k+1} (2.14), q = H'W'·d_k + H'·j + i (2.15), and
    i_k = i + stride·i_{k+1} (2.16), j_k = j + stride·j_{k+1} (2.17; S3's stride is 1).
    """
    (high, wide), (down, right) = pair(kernel_size, "kernel_size"), pair(stride, "stride")
    j_next, i_next = divmod(p, window_grid(x_shape[1:], kernel_size, stride)[0])
    d, cell = divmod(q, high * wide)
    j, i = divmod(cell, high)
    return d, i + down * i_next, j + right * j_next


@implements("E26")
def m_inverse(
    place: Place,
    x_shape: Sequence[int],
    kernel_size: Size,
    stride: Size = 1,
) -> list[Pair]:
    """m⁻¹(d_k, i_k, j_k): all (p, q) of φ(x) that hold this element of x, a set (erratum E26)."""
    (high, wide), (P, Q) = (
        pair(kernel_size, "kernel_size"),
        window_grid(x_shape[1:], kernel_size, stride),
    )
    places = [(p, q) for q in range(high * wide * x_shape[0]) for p in range(P * Q)]
    return [at for at in places if window_map(*at, x_shape, kernel_size, stride) == place]


@implements("A27", "S3:2.23")
def im2col_matrix(x_shape: Sequence[int], kernel_size: Size, stride: Size = 1) -> SparseMatrix:
    """M, with vec(φ(x)) = M vec(x)   (2.23, 2.24): in each row one 1, at m(p, q).

    H_{k+1}W_{k+1}H'W'D_k x H_kW_kD_k, for x_shape (D_k, H_k, W_k).
    """
    D, H, W = x_shape
    (high, wide), (P, Q) = (
        pair(kernel_size, "kernel_size"),
        window_grid((H, W), kernel_size, stride),
    )
    places = [
        window_map(p, q, x_shape, kernel_size, stride)
        for q in range(high * wide * D)
        for p in range(P * Q)
    ]
    columns = tuple(_vec_index(place, x_shape) for place in places)
    return _selection(columns, D * H * W)


@implements("A27", "G9", "E16")
def toeplitz_matrix(
    kernel: ArrayLike, image_shape: Sequence[int], stride: Size = 1
) -> SparseMatrix:
    """S2's C, with ravel(A ⊗ K) = C ravel(A) in reading order; its transpose is backward's.

    In the row of window (p, q) lies K, at that window's cells. At stride 1 it is a Toeplitz matrix
    of Toeplitz blocks, with a larger stride it is not (erratum E16).
    """
    kernel = np.asarray(kernel, dtype=np.float64)
    (H, W), (down, right) = image_shape, pair(stride, "stride")
    P, Q = window_grid(image_shape, kernel.shape, stride)
    rows, columns, values = [], [], []
    for p, q in np.ndindex(P, Q):
        for (r, s), weight in np.ndenumerate(kernel):
            rows.append(p * Q + q)
            columns.append((p * down + r) * W + q * right + s)
            values.append(float(weight))
    return SparseMatrix(tuple(rows), tuple(columns), tuple(values), (P * Q, H * W))


@implements("A27", "S3:4.3", "S3:4.4", "S3:4.5")
def pool_matrix(
    argmax: ArrayLike,
    x_shape: Sequence[int],
    kernel_size: Size,
    stride: Size | None = None,
) -> SparseMatrix:
    """S of a max pool, with vec(y) = S vec(x) and ∂z/∂vec(x) = Sᵀ ∂z/∂vec(y)   (4.4, 4.5).

    `argmax` (D, P, Q) is the winner's place in its window, in reading order; x_shape (D, H, W). In
    each row is one 1. Columns have one for each window that chose the cell: overlaps add up.
    """
    argmax = np.asarray(argmax)
    D, P, Q = argmax.shape
    _, wide = pair(kernel_size, "kernel_size")
    down, right = pair(kernel_size if stride is None else stride, "stride")
    columns = []
    for d in range(D):
        for q in range(Q):
            for p in range(P):
                i, j = divmod(int(argmax[d, p, q]), wide)
                columns.append(_vec_index((d, p * down + i, q * right + j), x_shape))
    return _selection(tuple(columns), int(np.prod(x_shape)))


def _vec_index(place: Place, shape: Sequence[int]) -> int:
    (d, i, j), (_, H, W) = place, shape
    return d * H * W + j * H + i


def _selection(columns: tuple[int, ...], width: int) -> SparseMatrix:
    """One 1 in each row."""
    height = len(columns)
    return SparseMatrix(tuple(range(height)), columns, (1.0,) * height, (height, width))


def _scan(height: int, width: int, order: str) -> list[Pair]:
    if order == "C":
        return [(i, j) for i in range(height) for j in range(width)]
    return [(i, j) for j in range(width) for i in range(height)]
