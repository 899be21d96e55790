"""Convolution and its gradients as the documents write them: maps, zeros, a turned kernel.

x (N, C, H, W), w (K, C/groups, R, S), y and dy (N, K, P, Q), all float64. `stride` and `dilation`
are an int or (height, width), `padding` an int, (height, width) or ((top, bottom), (left, right)).
"Convolution" in a layer is cross-correlation, as in all five documents (C1).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gpucnn.errors import ShapeError
from gpucnn.implements import implements
from gpucnn.reference.sizes import Size, pair, sides, window_grid

Array = NDArray[np.float64]


@implements("C1", "C3", "A30", "G1", "S4:1", "S3:2.1", "E24", "E30")
def correlate(image: ArrayLike, kernel: ArrayLike, stride: Size = 1) -> Array:
    """Cross-correlation of two maps: (I ⊗ K)(i, j) = Σ_m Σ_n I(i+m, j+n) K(m, n)   (S4 (1)).

    Only whole windows count (padding "valid"). With a stride, the window of (i, j) starts at
    I(i·stride[0], j·stride[1]): rows first.
    """
    image, kernel = _float64("image", image, 2), _float64("kernel", kernel, 2)
    (H, W), (k1, k2) = image.shape, kernel.shape
    down, right = pair(stride, "stride")
    result = np.zeros(window_grid((H, W), (k1, k2), stride))
    for i, j in np.ndindex(result.shape):
        for m in range(k1):
            for n in range(k2):
                result[i, j] += image[i * down + m, j * right + n] * kernel[m, n]
    return result


@implements("C1", "E11", "S4:2", "S4:3", "S4:7")
def convolve(image: ArrayLike, kernel: ArrayLike) -> Array:
    """True convolution: (I * K)(i, j) = Σ_m Σ_n I(i+m, j+n) K(k1-1-m, k2-1-n)   (S4 (2)).

    S4 (3) writes K(-m, -n), which lies outside of the kernel (erratum E11); (7), with this in the
    forward pass, S4 itself crosses out for (7.1).
    """
    image, kernel = _float64("image", image, 2), _float64("kernel", kernel, 2)
    (H, W), (k1, k2) = image.shape, kernel.shape
    result = np.zeros(window_grid((H, W), (k1, k2)))
    for i, j in np.ndindex(result.shape):
        for m in range(k1):
            for n in range(k2):
                result[i, j] += image[i + m, j + n] * kernel[k1 - 1 - m, k2 - 1 - n]
    return result


def rot180(kernel: ArrayLike) -> Array:
    """The kernel upside down, then left to right (S0 §4), over the last two axes."""
    return np.array(np.asarray(kernel, np.float64)[..., ::-1, ::-1])


@implements("A5")
def insert_zeros(delta: ArrayLike, stride: Size) -> Array:
    """stride - 1 zeros between neighbouring rows and columns of the last two axes (S4, at (15))."""
    delta = np.asarray(delta, np.float64)
    down, right = pair(stride, "stride")
    *front, H, W = delta.shape
    result = np.zeros((*front, (H - 1) * down + 1, (W - 1) * right + 1))
    result[..., ::down, ::right] = delta
    return result


def zero_pad(x: ArrayLike, padding: Any) -> Array:
    """Zeros around the last two axes; `padding` as at the top of this module."""
    x = np.asarray(x, np.float64)
    (top, bottom), (left, right) = sides(padding)
    *front, H, W = x.shape
    result = np.zeros((*front, top + H + bottom, left + W + right))
    result[..., top : top + H, left : left + W] = x
    return result


@implements("G6", "G8", "S0:4", "S1:3.2", "S2:BP2")
def full_correlation(delta: ArrayLike, kernel: ArrayLike) -> Array:
    """Correlation with every overlap: δ in F - 1 zeros on each side (S1 §3.2, S2's conv_full).

    The kernel is taken as it is. The input gradient of one map is
    `full_correlation(delta, rot180(w))`.
    """
    k1, k2 = np.shape(kernel)
    return correlate(zero_pad(delta, (k1 - 1, k2 - 1)), kernel)


@implements("A3", "S3:2.4", "S4:7.1", "S4:7.2", "E10")
def conv2d_forward(
    x: ArrayLike,
    w: ArrayLike,
    b: ArrayLike | None = None,
    *,
    stride: Size = 1,
    padding: Any = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Array:
    """y[n,k] = b[k] + Σ_c x_pad[n,c] ⊗ w[k,c]   (S3 (2.4), S4 (7.1)); one bias a filter.

    A dilated kernel is a kernel with zeros inserted. Where the stride does not divide, the last
    cells that fill no window are left out; `sizes.output_size` is S4's strict rule.
    """
    x, w = _float64("x", x), _float64("w", w)
    filters_of_group = _filters_of_group(x.shape[1], w.shape, groups)
    x_pad, kernels = zero_pad(x, padding), insert_zeros(w, pair(dilation, "dilation"))
    (N, _, *size), (K, C, *extent) = x_pad.shape, kernels.shape
    y = np.zeros((N, K, *window_grid(size, extent, stride)))
    for n in range(N):
        for k in range(K):
            first = k // filters_of_group * C
            for c in range(C):
                y[n, k] += correlate(x_pad[n, first + c], kernels[k, c], stride)
            if b is not None:
                y[n, k] += np.asarray(b)[k]
    return y


@implements("A4", "A5", "A6", "G3", "G4", "G5", "S4:15", "E6", "E20")
def conv2d_backward_input(
    dy: ArrayLike,
    w: ArrayLike,
    x_shape: Sequence[int],
    *,
    stride: Size = 1,
    padding: Any = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Array:
    """dx[n,c] = Σ_k full correlation of δ[n,k], zeros inserted, with rot180(w[k,c])   (S4 (15)).

    The channels change places: forward sums over c, this over k. Zeros go between the rows and
    columns of δ (stride - 1) and around it (F - 1); the forward padding is cut off at the end, and
    the cells that no window reached stay 0.
    """
    dy, w = _float64("dy", dy), _float64("w", w)
    filters_of_group = _filters_of_group(x_shape[1], w.shape, groups)
    (top, _), (left, _) = sides(padding)
    N, _, H, W = x_shape
    dx_pad = zero_pad(np.zeros(x_shape), padding)
    delta, kernels = insert_zeros(dy, stride), insert_zeros(w, pair(dilation, "dilation"))
    (K, C, *extent), size = kernels.shape, dx_pad.shape[2:]
    _check_dy(dy, (N, K, *window_grid(size, extent, stride)))
    for n in range(N):
        for k in range(K):
            first = k // filters_of_group * C
            for c in range(C):
                part = full_correlation(delta[n, k], rot180(kernels[k, c]))
                dx_pad[n, first + c, : part.shape[0], : part.shape[1]] += part
    return np.array(dx_pad[:, :, top : top + H, left : left + W])


@implements("A7", "G3", "G4", "G5", "G7", "S0:5", "S1:3.1", "S2:BP4", "S4:18", "E15")
def conv2d_backward_weight(
    dy: ArrayLike,
    x: ArrayLike,
    w_shape: Sequence[int],
    *,
    stride: Size = 1,
    padding: Any = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Array:
    """dw[k,c] = Σ_n x_pad[n,c] ⊗ δ[n,k], zeros inserted in δ; nothing is turned   (S4 (18)).

    dw[k,c,r,s] = Σ_{n,p,q} dy[n,k,p,q] · x_pad[n, c, p·stride + r·dilation, q·stride + s·dilation]:
    δ becomes the kernel, and where forward's kernel is dilated this one strides. Positions past
    R x S come from input cells that filled no window: cut off.
    """
    dy, x = _float64("dy", dy), _float64("x", x)
    filters_of_group = _filters_of_group(x.shape[1], w_shape, groups)
    K, C, R, S = w_shape
    x_pad, delta = zero_pad(x, padding), insert_zeros(dy, stride)
    dw = np.zeros((K, C, R, S))
    (N, _, *size), extent = x_pad.shape, insert_zeros(dw, pair(dilation, "dilation")).shape[2:]
    _check_dy(dy, (N, K, *window_grid(size, extent, stride)))
    for n in range(N):
        for k in range(K):
            first = k // filters_of_group * C
            for c in range(C):
                dw[k, c] += correlate(x_pad[n, first + c], delta[n, k], dilation)[:R, :S]
    return dw


@implements("A8", "S0:5", "S2:BP3", "S4:19", "E10")
def conv2d_backward_bias(dy: ArrayLike) -> Array:
    """db[k] = Σ_{n,p,q} dy[n,k,p,q]: the bias was added at every place (S2 BP3, S4 (19))."""
    dy = _float64("dy", dy)
    N, K, P, Q = dy.shape
    db = np.zeros(K)
    for n, k, p, q in np.ndindex(N, K, P, Q):
        db[k] += dy[n, k, p, q]
    return db


def _float64(name: str, a: ArrayLike, axes: int = 4) -> Array:
    array = np.asarray(a, dtype=np.float64)
    if array.ndim != axes:
        raise ShapeError(f"{name} must have {axes} axes, got shape {array.shape}")
    return array


def _check_dy(dy: Array, y_shape: tuple[int, ...]) -> None:
    if dy.shape != y_shape:
        raise ShapeError(f"dy must have y's shape {y_shape}, got {dy.shape}")


def _filters_of_group(channels: int, w_shape: Sequence[int], groups: int) -> int:
    """K/groups; ShapeError where the kernels' depth is not that of their input (S3: D = D')."""
    K, C = w_shape[:2]
    if C * groups != channels or K % groups:
        raise ShapeError(
            f"x with {channels} channels needs kernels of depth {channels}/{groups} and a number"
            f" of filters that groups={groups} divides, got {K} filters of depth {C}"
        )
    return K // groups
