"""The walks through the pools: maximum with its argmax, average, and power average."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gpucnn.explain.compare import agrees
from gpucnn.explain.convolution import described
from gpucnn.explain.numbers import Numbers, pool
from gpucnn.explain.settings import Settings
from gpucnn.explain.steps import Cell, Matrix, Step, Walk, cells, factor, matrix, number
from gpucnn.explain.windows import put_in
from gpucnn.reference.matrices import pool_matrix
from gpucnn.reference.pooling import (
    avg_pool2d,
    avg_pool2d_backward,
    lp_pool2d,
    lp_pool2d_backward,
    max_pool2d,
    max_pool2d_backward,
    upsample,
)
from gpucnn.reference.windows import Windows

# Fractions take more room than whole numbers.
MOST_FRACTIONS = 8
OTHER = {"row_major": "column_major", "column_major": "row_major"}


def maximum(settings: Settings, *, overlap: bool = False) -> Walk:
    """Where each window's maximum is, and where its gradient lands."""
    n = pool(settings, overlap=overlap)
    tie_break, keywords = settings.tie_break or "row_major", _keywords(n)
    x = n.x[None, None]
    y, argmax = max_pool2d(x, **keywords, tie_break=tie_break)
    dy = n.dy[None, None]
    dx = max_pool2d_backward(dy, argmax, x.shape, **keywords)
    # The library's argmax is compared too: it is what its backward pass takes.
    agrees(argmax, "max_pool2d_forward", x, part=1, **keywords, tie_break=tie_break)
    agreed = agrees(y, "max_pool2d_forward", x, part=0, **keywords, tie_break=tie_break)
    winners = {place: _winner(n, place, int(argmax[0, 0][place])) for place in _places(n)}
    other = max_pool2d(x, **keywords, tie_break=OTHER[tie_break])[1]
    sums = []
    for place, (row, column) in winners.items():
        values = ", ".join(number(n.x[cell]) for cell in _cells(n, place))
        tie = ""
        if argmax[0, 0][place] != other[0, 0][place]:
            there = _winner(n, place, int(other[0, 0][place]))
            tie = f" (a tie: {OTHER[tie_break]} takes x[{there[0]},{there[1]}])"
        top = number(y[0, 0][place])
        sums.append(f"{_at('y', place)} = max({values}) = {top}, at x[{row},{column}]{tie}")
    frames = tuple(
        Matrix(
            f"{_at('y', place)} = {number(y[0, 0][place])}",
            n.x,
            "input",
            marked=cells(_cells(n, place)),
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
            tuple(sums),
            agreed,
        ),
        *_upsampled(n, cells(winners.values())),
        Step(
            "Backward: each δ lands where its window's maximum was",
            "Everywhere else the gradient is 0. Where one cell won several windows, their δ add up.",
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


def average(settings: Settings) -> Walk:
    """Each window's mean, and δ spread evenly."""
    n = pool(settings, most=MOST_FRACTIONS)
    keywords, size = _keywords(n), n.w.size
    x, dy = n.x[None, None], n.dy[None, None]
    y = avg_pool2d(x, **keywords)
    dx = avg_pool2d_backward(dy, x.shape, **keywords)

    def line(place: Cell) -> str:
        terms = " + ".join(factor(n.x[cell]) for cell in _cells(n, place))
        return f"{_at('y', place)} = ({terms})/{size} = {number(y[0, 0][place])}"

    def share(place: Cell, _: Cell) -> str:
        return f"{factor(n.dy[place])}/{size}"

    return Walk(
        "avg-pool",
        f"An average pool and its gradient: {described(n)}",
        (
            _pooled(
                n,
                "the mean of every window",
                "The divisor is the number of the window's cells, padding included.",
                y[0, 0],
                line,
                agrees(y, "avg_pool2d_forward", x, **keywords),
            ),
            *_upsampled(n),
            Step(
                f"Backward: every cell of a window gets δ/{size}",
                "A cell that lies in several windows gets the sum of its shares.",
                "S0 §3, S2",
                ((matrix("δ = ∂L/∂y", n.dy, "delta"), "→", matrix("dx", dx[0, 0], "result")),),
                sums=_shares(n, dx[0, 0], share),
                agrees=agrees(dx, "avg_pool2d_backward", dy, x.shape, **keywords),
            ),
        ),
    )


def power(settings: Settings) -> Walk:
    """(Σ|x|^p)^(1/p) of each window; p = 2 is S2's L2 pool."""
    n = pool(settings, padded=False, most=MOST_FRACTIONS)
    p = settings.power or 2.0
    keywords = {key: value for key, value in _keywords(n).items() if key != "padding"}
    x, dy = n.x[None, None], n.dy[None, None]
    y = lp_pool2d(x, **keywords, p=p)
    dx = lp_pool2d_backward(dy, x, y, **keywords, p=p)

    def line(place: Cell) -> str:
        terms = " + ".join(f"|{number(n.x[cell])}|^{p:g}" for cell in _cells(n, place))
        return f"{_at('y', place)} = ({terms})^(1/{p:g}) = {number(y[0, 0][place])}"

    def share(place: Cell, cell: Cell) -> str:
        top, value = y[0, 0][place], n.x[cell]
        if top == 0:
            return "0"
        ratio = f"{factor(value)}/{number(top)}"
        if p == 2:
            return f"{factor(n.dy[place])}·{ratio}"
        return f"{factor(n.dy[place])}·sign({number(value)})·({number(abs(value))}/{number(top)})^{p - 1:g}"

    slope = "x/y" if p == 2 else f"sign(x)·(|x|/y)^{p - 1:g}"
    return Walk(
        "lp-pool",
        f"A power-average pool (p = {p:g}) and its gradient: {described(n)}",
        (
            _pooled(
                n,
                f"(Σ|x|^{p:g})^(1/{p:g}) of every window",
                "With p = 2 it is the root of the sum of squares; there is no mean in it.",
                y[0, 0],
                line,
                agrees(y, "lp_pool2d_forward", x, **keywords, p=p),
            ),
            Step(
                f"Backward: every cell of a window gets δ·{slope}",
                "Large cells get more. Where y is 0, so is the gradient.",
                "S2",
                ((matrix("δ = ∂L/∂y", n.dy, "delta"), "→", matrix("dx", dx[0, 0], "result")),),
                sums=_shares(n, dx[0, 0], share),
                agrees=agrees(dx, "lp_pool2d_backward", dy, x, y, **keywords, p=p),
            ),
        ),
    )


def _pooled(
    n: Numbers,
    what: str,
    text: str,
    y: np.ndarray,
    line: Callable[[Cell], str],
    agreed: str,
) -> Step:
    places = _places(n)
    frames = tuple(
        Matrix(f"{_at('y', p)} = {number(y[p])}", n.x, "input", marked=cells(_cells(n, p)))
        for p in places
    )
    return Step(
        f"Forward: {what}",
        text,
        "S0 §3, S2",
        ((matrix("x", n.x, "input"), "→", matrix("y", y, "result")),),
        frames,
        tuple(line(place) for place in places),
        agreed,
    )


def _upsampled(n: Numbers, winners: frozenset[Cell] | None = None) -> tuple[Step, ...]:
    """S0's upsample, for windows that lie side by side and cover x alone."""
    large = upsample(n.dy, n.w.shape)
    beside = n.geometry.pair("stride") == n.w.shape and large.shape == n.x.shape
    if not beside or any(map(sum, n.geometry.pair("padding"))):
        return ()
    rest = (
        "what does not lie at a maximum becomes 0"
        if winners is not None
        else f"then it is divided by {n.w.size}"
    )
    chosen = winners or frozenset()
    return (
        Step(
            "Upsample δ to x's size",
            f"Each δ fills its own {n.w.shape[0]} x {n.w.shape[1]} block; {rest}.",
            "S0 §3",
            (
                (
                    matrix("δ = ∂L/∂y", n.dy, "delta"),
                    "→",
                    matrix("upsample(δ)", large, "delta", chosen=chosen),
                ),
            ),
        ),
    )


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
        names = [_at("δ", place) for place, winner in winners.items() if winner == cell]
        total = f" = {' + '.join(terms)}" if len(terms) > 1 else ""
        lines.append(f"{_at('dx', cell)} = {' + '.join(names)}{total} = {number(dx[cell])}")
    return tuple(lines)


def _shares(n: Numbers, dx: np.ndarray, share: Callable[[Cell, Cell], str]) -> tuple[str, ...]:
    lines = []
    for cell in np.ndindex(*n.x.shape):
        places = [place for place in _places(n) if cell in _cells(n, place)]
        terms = " + ".join(share(place, cell) for place in places) or "no window"
        lines.append(f"{_at('dx', cell)} = {terms} = {number(dx[cell])}")
    return tuple(lines)


def _max_backward_agrees(n: Numbers, argmax: np.ndarray, dx: np.ndarray, tie_break: str) -> str:
    keywords = _keywords(n)
    small = argmax.astype(np.uint8 if n.w.size <= 256 else np.int32)
    return agrees(
        dx, "max_pool2d_backward", n.dy[None, None], small, (1, 1, *n.x.shape), **keywords
    )


def _rule(tie_break: str) -> str:
    if tie_break == "row_major":
        return "the first in reading order wins (row_major)"
    return "the smallest column wins, then the smallest row (column_major, S3's rule)"


def _keywords(n: Numbers) -> dict[str, Any]:
    g = n.geometry
    return {"kernel_size": n.w.shape, "stride": g.pair("stride"), "padding": g.pair("padding")}


def _places(n: Numbers) -> list[Cell]:
    return list(np.ndindex(*n.dy.shape))


def _windows(n: Numbers) -> Windows:
    keywords = _keywords(n)
    return Windows.over((1, 1, *n.x.shape), **keywords)


def _cells(n: Numbers, place: Cell) -> Sequence[Cell]:
    return [(cell.row, cell.column) for cell in _windows(n).cells(*place)]


def _winner(n: Numbers, place: Cell, index: int) -> Cell:
    found = [c for c in _windows(n).cells(*place) if c.place == index]
    return found[0].row, found[0].column


def _at(name: str, place: Cell) -> str:
    return f"{name}[{place[0]},{place[1]}]"
