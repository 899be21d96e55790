"""The walks through the average pool and the power-average pool (S2's L2 pool)."""

from collections.abc import Callable

import numpy as np

from gpucnn.errors import ConfigError
from gpucnn.explain.compare import agrees
from gpucnn.explain.forward import described
from gpucnn.explain.numbers import Numbers, pool
from gpucnn.explain.pooling import all_places, at, keywords_of, upsampled, window_cells
from gpucnn.explain.settings import Settings
from gpucnn.explain.steps import Cell, Matrix, Step, Walk, cells, factor, matrix, number
from gpucnn.reference.pooling import (
    avg_pool2d,
    avg_pool2d_backward,
    lp_pool2d,
    lp_pool2d_backward,
)

# Fractions take more room than whole numbers.
MOST_FRACTIONS, MOST_POWER = 8, 16


def average(settings: Settings) -> Walk:
    """Each window's mean, and δ spread evenly."""
    n = pool(settings, most=MOST_FRACTIONS)
    keywords, size = keywords_of(n), n.w.size
    x, dy = n.x[None, None], n.dy[None, None]
    y = avg_pool2d(x, **keywords)
    dx = avg_pool2d_backward(dy, x.shape, **keywords)

    def line(place: Cell) -> str:
        terms = " + ".join(factor(n.x[cell]) for cell in window_cells(n, place))
        return f"{at('y', place)} = ({terms})/{size} = {number(y[0, 0][place])}"

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
            *upsampled(n),
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
    p = 2.0 if settings.power is None else settings.power
    if not 1 <= p <= MOST_POWER:
        raise ConfigError(f"--power must be from 1 to {MOST_POWER}, got {p:g}")
    keywords = {key: value for key, value in keywords_of(n).items() if key != "padding"}
    x, dy = n.x[None, None], n.dy[None, None]
    y = lp_pool2d(x, **keywords, p=p)
    dx = lp_pool2d_backward(dy, x, y, **keywords, p=p)

    def line(place: Cell) -> str:
        terms = " + ".join(f"|{number(n.x[cell])}|^{p:g}" for cell in window_cells(n, place))
        return f"{at('y', place)} = ({terms})^(1/{p:g}) = {number(y[0, 0][place])}"

    def share(place: Cell, cell: Cell) -> str:
        top, value = y[0, 0][place], n.x[cell]
        if top == 0:
            return "0"
        ratio = f"{factor(value)}/{number(top)}"
        if p == 2:
            return f"{factor(n.dy[place])}·{ratio}"
        sign, size = f"sign({number(value)})", number(abs(value))
        return f"{factor(n.dy[place])}·{sign}·({size}/{number(top)})^{p - 1:g}"

    slope = "x/y" if p == 2 else f"sign(x)·(|x|/y)^{p - 1:g}"
    return Walk(
        "lp-pool",
        f"An L{p:g} pool and its gradient: {described(n)}",
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
    places = all_places(n)
    frames = tuple(
        Matrix(f"{at('y', p)} = {number(y[p])}", n.x, "input", marked=cells(window_cells(n, p)))
        for p in places
    )
    return Step(
        f"Forward: {what}",
        text,
        "S0 §3, S2",
        ((matrix("x", n.x, "input"), "→", matrix("y", y, "result")),),
        frames,
        n.dy.shape[1],
        tuple(line(place) for place in places),
        agreed,
    )


def _shares(n: Numbers, dx: np.ndarray, share: Callable[[Cell, Cell], str]) -> tuple[str, ...]:
    lines = []
    for cell in np.ndindex(*n.x.shape):
        places = [place for place in all_places(n) if cell in window_cells(n, place)]
        terms = " + ".join(share(place, cell) for place in places) or "no window"
        lines.append(f"{at('dx', cell)} = {terms} = {number(dx[cell])}")
    return tuple(lines)
