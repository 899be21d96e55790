"""What the walks through the pools share."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gpucnn.explain.numbers import Numbers
from gpucnn.explain.steps import Cell, Step, matrix
from gpucnn.reference.pooling import upsample
from gpucnn.reference.windows import Windows


def upsampled(n: Numbers, winners: frozenset[Cell] | None = None) -> tuple[Step, ...]:
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


def keywords_of(n: Numbers) -> dict[str, Any]:
    """The settings as a pool's arguments."""
    g = n.geometry
    return {"kernel_size": n.w.shape, "stride": g.pair("stride"), "padding": g.pair("padding")}


def all_places(n: Numbers) -> list[Cell]:
    """The places of y."""
    return list(np.ndindex(*n.dy.shape))


def windows(n: Numbers) -> Windows:
    """The windows over x."""
    keywords = keywords_of(n)
    return Windows.over((1, 1, *n.x.shape), **keywords)


def window_cells(n: Numbers, place: Cell) -> Sequence[Cell]:
    """The cells of x below one place of y; padding is left out."""
    return [(cell.row, cell.column) for cell in windows(n).cells(*place)]


def at(name: str, place: Cell) -> str:
    """y[1,2]."""
    return f"{name}[{place[0]},{place[1]}]"
