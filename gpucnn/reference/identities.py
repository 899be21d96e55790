"""S3's identities (2.9) to (2.30): each function returns the two sides of its equation.

x (D_k, H_k, W_k) is one image, w (D_{k+1}, D_k, H', W') the filters, dy = ∂z/∂x^{k+1} the gradient
of y = x^{k+1} (D_{k+1}, H_{k+1}, W_{k+1}). The stride is 1 and there is no padding, as in S3 §2.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gpucnn.implements import implements
from gpucnn.reference.convolution import conv2d_forward
from gpucnn.reference.matrices import im2col, im2col_matrix, kernel_matrix, m_inverse, phi, vec

Array = NDArray[np.float64]
Sides = tuple[Array, Array]


def kronecker(a: ArrayLike, b: ArrayLike) -> Array:
    """A ⊗ B: the matrix of blocks a_ij·B (S3 §2.2)."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    (m, n), (k, width) = a.shape, b.shape
    product = np.zeros((m * k, n * width))
    for i, j in np.ndindex(m, n):
        product[i * k : (i + 1) * k, j * width : (j + 1) * width] = a[i, j] * b
    return product


def forward(x: Array, w: Array) -> Array:
    """y = x^{k+1} by the sum of correlations (2.4), independent of im2col."""
    return np.array(conv2d_forward(x[None], w)[0])


def columns(y: Array) -> Array:
    """The H_{k+1}W_{k+1} x D_{k+1} matrix whose columns are vec(y_d): the shape of φ(x)C."""
    return np.stack([vec(channel) for channel in y], axis=1)


@implements("S3:2.3", "E25")
def correlation_by_im2col(image: Array, kernel: Array) -> Sides:
    """im2col(A)ᵀ vec(K) = vec(A * K)   (2.3, vec(K) a column: erratum E25)."""
    left = im2col(image, kernel.shape, order="F").T @ vec(kernel)
    return left, vec(forward(image[None], kernel[None, None]))


@implements("S3:2.9", "A28")
def forward_product(x: Array, w: Array) -> Sides:
    """vec(φ(x) C) = vec(y)   (2.9)."""
    return vec(phi(x, w.shape[2:]) @ kernel_matrix(w)), vec(forward(x, w))


@implements("I1", "S3:2.10")
def transpose_of_kronecker(a: Array, b: Array) -> Sides:
    """(A ⊗ B)ᵀ = Aᵀ ⊗ Bᵀ   (2.10)."""
    return kronecker(a, b).T, kronecker(a.T, b.T)


@implements("I1", "S3:2.11")
def vec_of_product(a: Array, x: Array, b: Array) -> Sides:
    """vec(A X B) = (Bᵀ ⊗ A) vec(X)   (2.11)."""
    return vec(a @ x @ b), kronecker(b.T, a) @ vec(x)


@implements("I1", "S3:2.12", "S3:2.19")
def output_from_kernels(x: Array, w: Array) -> Sides:
    """vec(y) = (I ⊗ φ(x)) vec(C), I of D_{k+1}   (2.12); the factor is ∂vec(y)/∂vec(w)ᵀ (2.19)."""
    factor = kronecker(np.eye(w.shape[0]), phi(x, w.shape[2:]))
    return vec(forward(x, w)), factor @ vec(kernel_matrix(w))


@implements("I1", "S3:2.13")
def output_from_windows(x: Array, w: Array) -> Sides:
    """vec(y) = (Cᵀ ⊗ I) vec(φ(x)), I of H_{k+1}W_{k+1}   (2.13)."""
    windows = phi(x, w.shape[2:])
    factor = kronecker(kernel_matrix(w).T, np.eye(windows.shape[0]))
    return vec(forward(x, w)), factor @ vec(windows)


@implements("I1", "G3", "S3:2.18", "S3:2.20", "S3:2.21")
def weight_gradient(x: Array, w: Array, dy: Array) -> Sides:
    """∂z/∂C = φ(x)ᵀ ∂z/∂(φ(x)C)   (2.21), and on the left the chain rule's row (2.18), (2.20).

    ∂z/∂vec(C)ᵀ = vec(dy)ᵀ (I ⊗ φ(x)), folded back into the shape of C.
    """
    windows = phi(x, w.shape[2:])
    row = vec(dy) @ kronecker(np.eye(w.shape[0]), windows)
    return row.reshape(w.shape[0], -1).T, windows.T @ columns(dy)


@implements("I1", "S3:2.24")
def windows_from_input(x: Array, w: Array) -> Sides:
    """vec(φ(x)) = M vec(x)   (2.24)."""
    return vec(phi(x, w.shape[2:])), im2col_matrix(x.shape, w.shape[2:]) @ vec(x)


@implements("I1", "S3:2.25", "E27")
def input_jacobian(x: Array, w: Array) -> Array:
    """∂vec(y)/∂vec(x)ᵀ = (Cᵀ ⊗ I) M   (2.25; S3 leaves out a ∂, erratum E27)."""
    selection = im2col_matrix(x.shape, w.shape[2:])
    rows = phi(x, w.shape[2:]).shape[0]
    return kronecker(kernel_matrix(w).T, np.eye(rows)) @ selection.dense()


@implements("I1", "G3", "S3:2.22", "S3:2.26", "S3:2.27", "S3:2.28")
def input_gradient(x: Array, w: Array, dy: Array) -> Sides:
    """∂z/∂vec(x) = Mᵀ vec(∂z/∂(φ(x)C) Cᵀ)   (2.28), and on the left the chain rule (2.22), (2.26).

    The step between them is (2.27): vec(dy)ᵀ (Cᵀ ⊗ I) = vec(∂z/∂(φ(x)C) Cᵀ)ᵀ.
    """
    selection = im2col_matrix(x.shape, w.shape[2:])
    return vec(dy) @ input_jacobian(x, w), selection.T @ vec(columns(dy) @ kernel_matrix(w).T)


@implements("I1", "S3:2.29", "S3:2.30")
def input_gradient_by_places(x: Array, w: Array, dy: Array) -> Array:
    """(∂z/∂x)(d, i, j) = Σ over (p, q) in m⁻¹(d, i, j) of (∂z/∂(φ(x)C) Cᵀ)(p, q)   (2.30).

    The summed matrix (2.29) is H_{k+1}W_{k+1} x H'W'D_k, as φ(x) is.
    """
    shares = columns(dy) @ kernel_matrix(w).T
    dx = np.zeros(x.shape)
    for d, i, j in np.ndindex(x.shape):
        for p, q in m_inverse((d, i, j), x.shape, w.shape[2:]):
            dx[d, i, j] += shares[p, q]
    return dx
