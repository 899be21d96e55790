"""The walk through a maximum pool: where the maxima are, and where the gradient lands."""

import numpy as np

from gpucnn.explain.compare import agrees
from gpucnn.explain.forward import described
from gpucnn.explain.numbers import Numbers, pool
from gpucnn.explain.pooling import all_places, at, keywords_of, upsampled, window_cells, windows
from gpucnn.explain.settings import Settings
from gpucnn.explain.steps import Cell, Matrix, Step, Walk, cells, factor, matrix, number
from gpucnn.explain.windows import put_in
from gpucnn.reference.matrices import pool_matrix
from gpucnn.reference.pooling import max_pool2d, max_pool2d_backward

OTHER = {"row_major": "column_major", "column_major": "row_major"}


def maximum(settings: Settings, *, overlap: bool = False) -> Walk:
    """Where each window's maximum is, and where its gradient lands."""
    n = pool(settings, overlap=overlap)
    tie_break, keywords = settings.tie_break or "row_major", keywords_of(n)
    x = n.x[None, None]
    y, argmax = max_pool2d(x, **keywords, tie_break=tie_break)
    dy = n.dy[None, None]
    dx = max_pool2d_backward(dy, argmax, x.shape, **keywords)
    # The library's argmax is compared too: it is what its backward pass takes.
    agrees(argmax, "max_pool2d_forward", x, part=1, **keywords, tie_break=tie_break)
    agreed = agrees(y, "max_pool2d_forward", x, part=0, **keywords, tie_break=tie_break)
    winners = {place: _winner(n, place, int(argmax[0, 0][place])) for place in all_places(n)}
    other = max_pool2d(x, **keywords, tie_break=OTHER[tie_break])[1]
    sums = []
    for place, (row, column) in winners.items():
        values = ", ".join(number(n.x[cell]) for cell in window_cells(n, place))
        tie = ""
        if argmax[0, 0][place] != other[0, 0][place]:
            there = _winner(n, place, int(other[0, 0][place]))
            tie = f" (a tie: {OTHER[tie_break]} takes x[{there[0]},{there[1]}])"
        top = number(y[0, 0][place])
        sums.append(f"{at('y', place)} = max({values}) = {top}, at x[{row},{column}]{tie}")
    frames = tuple(
        Matrix(
            f"{at('y', place)} = {number(y[0, 0][place])}",
            n.x,
            "input",
            marked=cells(window_cells(n, place)),
            chosen=cells([winners[place]]),
        )
        for place in winners
    )
    steps = [
        Step(
            "Forward: the largest of every window",
            f"Its place is kept for the way back, in reading order inside the window (argmax)."
            f" Among equals {_rule(tie_break)}. Padding never wins.",
            "S0 §3, S3 (4.2)",
            (
                (
                    matrix("x", n.x, "input", chosen=cells(winners.values())),
                    "→",
                    matrix("y", y[0, 0], "result"),
                    matrix("argmax", argmax[0, 0], "plain"),
                ),
            ),
            frames,
            n.dy.shape[1],
            tuple(sums),
            agreed,
        ),
        *upsampled(n, cells(winners.values())),
        Step(
            "Backward: each δ lands where its window's maximum was",
            "Everywhere else the gradient is 0. Where a cell won several windows, their δ add up.",
            "S0 §3, S2, S3 (4.6)",
            (
                (
                    matrix("δ = ∂L/∂y", n.dy, "delta"),
                    "→",
                    matrix("dx", dx[0, 0], "result", chosen=cells(winners.values())),
                ),
            ),
            sums=_landings(n, winners, dx[0, 0]),
            agrees=_max_backward_agrees(n, argmax, dx, tie_break),
        ),
    ]
    if not any(map(sum, n.geometry.pair("padding"))) and n.x.size <= 25:
        steps.append(_matrix_step(n, argmax, dx))
    name = "pool-overlap" if overlap else "pool"
    return Walk(name, f"A maximum pool and its gradient: {described(n)}", tuple(steps))


def overlapping(settings: Settings) -> Walk:
    """A pool whose windows overlap: the gradients add up."""
    return maximum(settings, overlap=True)


def _matrix_step(n: Numbers, argmax: np.ndarray, dx: np.ndarray) -> Step:
    sparse = pool_matrix(argmax[0], (1, *n.x.shape), n.w.shape, n.geometry.pair("stride"))
    back = (sparse.T @ n.dy.T.ravel()).reshape(n.x.shape[::-1]).T
    if not np.array_equal(back, dx[0, 0]):
        raise ArithmeticError(f"Sᵀ vec(δ) gives {back}, the scatter {dx[0, 0]}")
    dense = sparse.dense()
    return Step(
        "As a matrix: vec(y) = S vec(x), vec(dx) = Sᵀ vec(δ)",
        "Rows of S are the windows, columns the cells of x, both column by column (vec). Each row"
        " has one 1; a column has one for every window that its cell won.",
        "S3 (4.4), (4.5)",
        ((matrix("S", dense, "sparse", inserted=put_in(dense)),),),
    )


def _landings(n: Numbers, winners: dict[Cell, Cell], dx: np.ndarray) -> tuple[str, ...]:
    lines = []
    for cell in sorted(set(winners.values())):
        terms = [factor(n.dy[place]) for place, winner in winners.items() if winner == cell]
        names = [at("δ", place) for place, winner in winners.items() if winner == cell]
        total = f" = {' + '.join(terms)}" if len(terms) > 1 else ""
        lines.append(f"{at('dx', cell)} = {' + '.join(names)}{total} = {number(dx[cell])}")
    return tuple(lines)


def _max_backward_agrees(n: Numbers, argmax: np.ndarray, dx: np.ndarray, tie_break: str) -> str:
    keywords = keywords_of(n)
    small = argmax.astype(np.uint8 if n.w.size <= 256 else np.int32)
    return agrees(
        dx, "max_pool2d_backward", n.dy[None, None], small, (1, 1, *n.x.shape), **keywords
    )


def _rule(tie_break: str) -> str:
    if tie_break == "row_major":
        return "the first in reading order wins (row_major)"
    return "the smallest column wins, then the smallest row (column_major, S3's rule)"


def _winner(n: Numbers, place: Cell, index: int) -> Cell:
    found = [c for c in windows(n).cells(*place) if c.place == index]
    return found[0].row, found[0].column
