"""Convolution as one matrix product: im2col, φ, M, and the convolution matrix C (S3 §2, S2)."""

import numpy as np

from gpucnn.errors import ShapeError
from gpucnn.explain.compare import agrees
from gpucnn.explain.forward import described, padded
from gpucnn.explain.numbers import Numbers, convolution
from gpucnn.explain.settings import Settings
from gpucnn.explain.steps import Matrix, Step, Walk, cells, matrix
from gpucnn.explain.windows import put_in
from gpucnn.reference.convolution import (
    conv2d_backward_input,
    conv2d_backward_weight,
    conv2d_forward,
)
from gpucnn.reference.matrices import (
    SparseMatrix,
    im2col,
    im2col_matrix,
    kernel_matrix,
    phi,
    toeplitz_matrix,
    unvec,
    vec,
)

# What fits into a page: (rows, columns) of M and of C, and the columns of im2col.
MOST_OF_M, MOST_OF_C, MOST_WINDOWS = (48, 36), (16, 25), 16


def walk(settings: Settings) -> Walk:
    """im2col in both orders, φ and M, and both gradients from them."""
    n = convolution(settings)
    x, w, stride = padded(n), n.w, n.geometry.pair("stride")
    size = x.values.shape
    sparse = im2col_matrix((1, *size), w.shape, stride)
    _check("M", sparse.shape, MOST_OF_M)
    _check("im2col", (w.size, n.dy.size), (w.size, MOST_WINDOWS))
    return Walk(
        "im2col",
        f"Convolution as a matrix product: {described(n)}",
        (*_forward(n, x), _selection(n, x, sparse), *_backward(n, x, sparse)),
    )


def toeplitz(settings: Settings) -> Walk:
    """The convolution as one sparse matrix C, and its transpose."""
    n = convolution(settings)
    x = padded(n)
    sparse = toeplitz_matrix(n.w, x.values.shape, n.geometry.pair("stride"))
    _check("C", sparse.shape, MOST_OF_C)
    y, dx = sparse @ x.values.ravel(), sparse.T @ n.dy.ravel()
    places = list(np.ndindex(*n.dy.shape))
    c = matrix("C", sparse.dense(), "sparse", inserted=put_in(_pattern(sparse)))
    return Walk(
        "toeplitz",
        f"Convolution as one sparse matrix: {described(n)}",
        (
            Step(
                "Forward: y = C x",
                "Row k of C has the kernel's numbers at the cells of window k; x and y are read"
                " line by line. At stride 1 it is a Toeplitz matrix of Toeplitz blocks.",
                "S2",
                (
                    (x, matrix("w", n.w, "kernel")),
                    (c,),
                    (matrix("C x", y, "result"), "=", matrix("y", y.reshape(n.dy.shape), "result")),
                ),
                sums=(f"row 0 is window {places[0]} of y, the last row window {places[-1]}",),
                agrees=agrees(
                    y.reshape(1, 1, *n.dy.shape),
                    "conv2d_forward",
                    n.x[None, None],
                    n.w[None, None],
                    **n.geometry.keywords,
                ),
            ),
            Step(
                "Backward: dx = Cᵀ δ, the transposed convolution",
                "Column k of C holds what x[k] was multiplied by; so Cᵀ takes δ back to x. This is"
                " why the full correlation with the turned kernel is called transposed.",
                "S2",
                (
                    (matrix("δ", n.dy, "delta"),),
                    (_gradient(n, dx.reshape(x.shape)),),
                ),
                agrees=_input_agrees(n, dx.reshape(x.shape)),
            ),
        ),
    )


def _forward(n: Numbers, x: Matrix) -> tuple[Step, ...]:
    stride = n.geometry.pair("stride")
    y = conv2d_forward(n.x[None, None], n.w[None, None], **n.geometry.keywords)
    columns, seeds = (im2col(x.values, n.w.shape, stride, order=order) for order in "CF")
    first = cells((i, 0) for i in range(columns.shape[0]))
    w = matrix("w, line by line", n.w.ravel(), "kernel")
    vec_w = matrix("vec(w)ᵀ", vec(n.w), "kernel")
    return (
        Step(
            "im2col line by line: each window becomes a column",
            "Windows from left to right, then down; the cells of a window likewise. Then y is one"
            " product.",
            "S4 img2col",
            (
                (x, matrix("w", n.w, "kernel")),
                (matrix("B, order C", columns, "input", marked=first),),
                (w, "·", "B", "=", matrix("y, line by line", n.w.ravel() @ columns, "result")),
            ),
            agrees=agrees(
                (n.w.ravel() @ columns).reshape(y.shape),
                "conv2d_forward",
                n.x[None, None],
                n.w[None, None],
                **n.geometry.keywords,
            ),
        ),
        Step(
            "im2col as S3 and MATLAB write it: column by column",
            "Windows from top to bottom, then right; the cells of a window likewise. vec stacks a"
            " matrix's columns. The sums are the same, in another order.",
            "S3 (2.2), (2.3)",
            (
                (matrix("B, order F", seeds, "input", marked=first),),
                (vec_w, "·", "B", "=", matrix("vec(y)ᵀ", seeds.T @ vec(n.w), "result")),
            ),
        ),
    )


def _selection(n: Numbers, x: Matrix, sparse: SparseMatrix) -> Step:
    dense = sparse.dense()
    counts = matrix("uses of each x", unvec(dense.sum(axis=0), x.shape), "plain")
    if not np.array_equal(
        sparse @ vec(x.values), vec(phi(x.values, n.w.shape, n.geometry.pair("stride")))
    ):
        raise ArithmeticError("vec(φ(x)) is not M vec(x)")
    return Step(
        "φ(x) = Bᵀ is linear in x: vec(φ(x)) = M vec(x)",
        "Each row of M picks one x: it has a single 1. Its columns add up to the number of windows"
        " that use an x.",
        "S3 (2.6), (2.23), (2.24)",
        ((matrix("M", dense, "sparse", inserted=put_in(dense)), counts),),
    )


def _backward(n: Numbers, x: Matrix, sparse: SparseMatrix) -> tuple[Step, ...]:
    stride = n.geometry.pair("stride")
    f, delta, c = (
        phi(x.values, n.w.shape, stride),
        vec(n.dy)[:, None],
        kernel_matrix(n.w[None, None]),
    )
    dc = f.T @ delta
    arguments = (n.dy[None, None], n.x[None, None], (1, 1, *n.w.shape))
    dw = conv2d_backward_weight(*arguments, **n.geometry.keywords)
    spread = delta @ c.T
    dx = unvec(sparse.T @ vec(spread), x.shape)
    agreed = agrees(
        unvec(dc[:, 0], (1, 1, *n.w.shape)),
        "conv2d_backward_weight",
        *arguments,
        **n.geometry.keywords,
    )
    return (
        Step(
            "Backward to the kernel: ∂z/∂C = φ(x)ᵀ ∂z/∂(φ(x) C)",
            "C is vec(w) as a column, and δ in the same order is vec(δ).",
            "S3 (2.21)",
            (
                (matrix("φ(x)ᵀ = B", f.T, "input"), "·", matrix("vec(δ)", delta, "delta")),
                (
                    "=",
                    matrix("vec(dw)ᵀ", dc.T, "result"),
                    "→",
                    matrix("dw", dw[0, 0], "result"),
                ),
            ),
            agrees=agreed,
        ),
        Step(
            "Backward to the input: ∂z/∂vec(x) = Mᵀ vec(∂z/∂(φ(x) C) Cᵀ)",
            "δ Cᵀ has the shape of φ(x); Mᵀ adds up what belongs to one x.",
            "S3 (2.28), (2.30)",
            ((matrix("δ Cᵀ", spread, "delta"), "→", _gradient(n, dx)),),
            agrees=_input_agrees(n, dx),
        ),
    )


def _gradient(n: Numbers, padded_dx: np.ndarray) -> Matrix:
    """The gradient of the padded input, the part that is dx marked where there is padding."""
    inside = _inside(n)
    if len(inside) == padded_dx.size:
        return matrix("dx", padded_dx, "result")
    return matrix("d(x, padded); dx is marked", padded_dx, "result", marked=inside)


def _inside(n: Numbers) -> frozenset[tuple[int, int]]:
    (top, _), (left, _) = n.geometry.pair("padding")
    return cells((top + i, left + j) for i, j in np.ndindex(*n.x.shape))


def _input_agrees(n: Numbers, padded_dx: np.ndarray) -> str:
    (top, _), (left, _) = n.geometry.pair("padding")
    dx = padded_dx[top : top + n.x.shape[0], left : left + n.x.shape[1]]
    arguments = (n.dy[None, None], n.w[None, None], (1, 1, *n.x.shape))
    if not np.array_equal(dx, conv2d_backward_input(*arguments, **n.geometry.keywords)[0, 0]):
        raise ArithmeticError("the matrix gives another dx than the full correlation")
    return agrees(dx[None, None], "conv2d_backward_input", *arguments, **n.geometry.keywords)


def _pattern(sparse: SparseMatrix) -> np.ndarray:
    """1 where the matrix has an element, which may itself be 0."""
    ones = SparseMatrix(sparse.rows, sparse.columns, (1.0,) * len(sparse.rows), sparse.shape)
    return ones.dense()


def _check(name: str, shape: tuple[int, int], most: tuple[int, int]) -> None:
    """ShapeError where a matrix is too large for a page."""
    (rows, columns), (most_rows, most_columns) = shape, most
    if rows > most_rows or columns > most_columns:
        raise ShapeError(
            f"{name} would have {rows} rows and {columns} columns, and explain draws at most"
            f" {most_rows} by {most_columns}: choose a smaller --size or --kernel, or a larger"
            " --stride"
        )
