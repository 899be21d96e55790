"""S4's program, in its own layout and names, with its errors (errata E1 to E7) put right.

Activations are (m, n_H, n_W, C) and filters W (fh, fw, C_prev, C), biases b (1, 1, 1, C). `padding`
and `strides` are (height, width). `conv_backward` follows the equations, `conv_backward_2` turns
the forward loop round; both give the same gradients, and neither divides by m: the loss does
(C4).
"""

import numpy as np
from numpy.typing import NDArray

from gpucnn.errors import ShapeError
from gpucnn.implements import implements
from gpucnn.reference.sizes import Pair

Array = NDArray[np.float64]
Cache = tuple[Array, Array, Array, Pair, Pair]


@implements("A29", "S4:7.1")
def conv_forward(
    A: Array, W: Array, b: Array, padding: Pair = (0, 0), strides: Pair = (1, 1)
) -> tuple[Array, Cache]:
    """Z (m, n_H, n_W, C) and the cache for backward: (A, W, b, padding, strides).

    Z[i, h, w, c] = Σ A_pad[i, h·strides[0] : +fh, w·strides[1] : +fw, :] · W[:, :, :, c] + b[c]
    """
    m, _, _, C_prev = A.shape
    fh, fw, depth, C = W.shape
    if depth != C_prev:
        raise ShapeError(f"A has {C_prev} channels, so W needs C_prev = {C_prev}, got {depth}")
    A_pad = zero_pad(A, padding)
    n_H = (A_pad.shape[1] - fh) // strides[0] + 1
    n_W = (A_pad.shape[2] - fw) // strides[1] + 1
    Z = np.zeros((m, n_H, n_W, C))
    for i in range(m):
        for h in range(n_H):
            for w in range(n_W):
                for c in range(C):
                    top, left = h * strides[0], w * strides[1]
                    a_slice = A_pad[i, top : top + fh, left : left + fw, :]
                    Z[i, h, w, c] = np.sum(a_slice * W[:, :, :, c]) + b[0, 0, 0, c]
    return Z, (A, W, b, padding, strides)


@implements("A29")
def zero_pad(A: Array, pad: Pair) -> Array:
    """pad[0] rows of zeros above and below, pad[1] columns left and right."""
    m, n_H, n_W, C = A.shape
    padded = np.zeros((m, n_H + 2 * pad[0], n_W + 2 * pad[1], C))
    padded[:, pad[0] : pad[0] + n_H, pad[1] : pad[1] + n_W, :] = A
    return padded


@implements("A29", "A5")
def _insert_zeros(dZ: Array, strides: Pair) -> Array:
    """strides[0] - 1 rows and strides[1] - 1 columns of zeros between those of dZ."""
    m, n_H, n_W, C = dZ.shape
    spread = np.zeros((m, (n_H - 1) * strides[0] + 1, (n_W - 1) * strides[1] + 1, C))
    spread[:, :: strides[0], :: strides[1], :] = dZ
    return spread


@implements("A29")
def _remove_padding(A: Array, padding: Pair) -> Array:
    """What `zero_pad` was given."""
    _, n_H, n_W, _ = A.shape
    return np.array(A[:, padding[0] : n_H - padding[0], padding[1] : n_W - padding[1], :])


@implements("A29", "S4:15", "S4:18", "S4:19", "E1", "E2", "E3", "E4", "E5", "E6")
def conv_backward(dZ: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """dA_prev, dW and db of conv_forward, by the equations (15), (18) and (19)."""
    A_prev, W, b, padding, strides = cache
    _, n_H_prev, n_W_prev, C_prev = A_prev.shape
    fh, fw, _, C = W.shape  # E5: filters need not be square

    # (15): zeros between and around dZ, the filter turned, its channels swapped.
    dZ_inner = _insert_zeros(dZ, strides)
    dZ_in_out = zero_pad(dZ_inner, (fh - 1, fw - 1))
    W_flip = np.swapaxes(np.flip(W, (0, 1)), 2, 3)
    # E3: the result has C_prev channels, so its zero bias has as many.
    dA_reached, _ = conv_forward(dZ_in_out, W_flip, np.zeros((1, 1, 1, C_prev)))
    # E6: rows and columns behind the last window have no part in Z.
    dA_pad = zero_pad(np.zeros_like(A_prev), padding)
    dA_pad[:, : dA_reached.shape[1], : dA_reached.shape[2], :] = dA_reached
    dA_prev = _remove_padding(dA_pad, padding)
    assert dA_prev.shape[1:3] == (n_H_prev, n_W_prev)

    # (18): A_prev as C_prev images of m channels, dZ as C filters of m channels.
    A_prev_swap = np.swapaxes(A_prev, 0, 3)
    dZ_swap = np.transpose(dZ_inner, (1, 2, 0, 3))
    # E1: dZ with its zeros inserted is the filter, at stride 1; behind fh x fw it is cut off.
    dW, _ = conv_forward(A_prev_swap, dZ_swap, np.zeros((1, 1, 1, C)), padding=padding)
    # E2: (C_prev, fh, fw, C) -> (fh, fw, C_prev, C), height and width in their order.
    dW = np.transpose(dW[:, :fh, :fw, :], (1, 2, 0, 3))

    # (19), one bias a filter; E4: no division by m here.
    db = np.sum(dZ, axis=(0, 1, 2)).reshape(b.shape)
    return dA_prev, dW, db


@implements("A29", "E7")
def conv_backward_2(dZ: Array, cache: Cache) -> tuple[Array, Array, Array]:
    """dA_prev, dW and db of conv_forward: its loop once more, each product sent back.

    Z[i,h,w,c] = Σ a_slice · W[:,:,:,c] + b[c], hence, added up over the same windows:
    dA_slice += W[:,:,:,c] · dZ[i,h,w,c] (S4's comment has "= Z · W", erratum E7),
    dW[:,:,:,c] += a_slice · dZ[i,h,w,c] and db[c] += dZ[i,h,w,c].
    """
    A_prev, W, b, padding, strides = cache
    fh, fw, _, _ = W.shape
    m, n_H, n_W, C = dZ.shape

    A_prev_pad = zero_pad(A_prev, padding)
    dA_prev_pad = np.zeros_like(A_prev_pad)
    dW = np.zeros_like(W)
    db = np.zeros_like(b)
    for i in range(m):
        for h in range(n_H):
            for w in range(n_W):
                for c in range(C):
                    vertical = slice(h * strides[0], h * strides[0] + fh)
                    horizontal = slice(w * strides[1], w * strides[1] + fw)
                    a_slice = A_prev_pad[i, vertical, horizontal, :]
                    dA_prev_pad[i, vertical, horizontal, :] += W[:, :, :, c] * dZ[i, h, w, c]
                    dW[:, :, :, c] += a_slice * dZ[i, h, w, c]
                    db[:, :, :, c] += dZ[i, h, w, c]
    return _remove_padding(dA_prev_pad, padding), dW, db
