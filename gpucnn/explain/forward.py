"""The forward pass, and what the walks through a convolution share."""

import numpy as np

from gpucnn.explain.compare import agrees
from gpucnn.explain.numbers import Numbers
from gpucnn.explain.steps import Matrix, Step, cells, matrix
from gpucnn.explain.windows import Sliding, put_in
from gpucnn.reference.convolution import conv2d_forward, convolve, zero_pad


def forward_steps(n: Numbers) -> tuple[Step, ...]:
    """Pad, then lay the kernel on every window."""
    stride, dilation = n.geometry.pair("stride"), n.geometry.pair("dilation")
    x, w = padded(n), matrix("w", n.w, "kernel")
    y = conv2d_forward(n.x[None, None], n.w[None, None], **n.geometry.keywords)
    slide = Sliding(x, w, stride, dilation)
    places = list(np.ndindex(*y.shape[2:]))
    steps = []
    if x.inserted:
        steps.append(
            Step(
                "Pad the input",
                "Rows and columns of zeros go around x.",
                "S3 §2.1, S4",
                ((matrix("x", n.x, "input"), "→", x),),
            )
        )
    text = (
        "The kernel is laid on a window as it is, not turned; the products are summed. The window"
        f" moves by {_moves(stride)}"
    )
    if dilation != (1, 1):
        text += f"; its cells lie {pair_words(dilation)} apart (dilation)"
    steps.append(
        Step(
            "Forward: lay the kernel on every window",
            f"{text}.{_floored(n)}",
            "S3 (2.1), S4 (1)",
            ((slide.frame(x.name, (0, 0)), "⋆", w, "=", marked("y", y[0, 0])),),
            tuple(slide.frame("y", place, y[0, 0][place]) for place in places),
            y.shape[3],
            tuple(slide.line("y", place, y[0, 0][place]) for place in places),
            agrees(y, "conv2d_forward", n.x[None, None], n.w[None, None], **n.geometry.keywords),
        )
    )
    if stride == dilation == (1, 1):
        steps.append(
            Step(
                "What it is not: the convolution of mathematics",
                "That one turns the kernel by 180° first. The documents say convolution and compute"
                " the above, cross-correlation (⋆); so does every layer.",
                "S4 (1)-(3)",
                ((x, "∗", w, "=", matrix("not y", convolve(x.values, n.w))),),
            )
        )
    return tuple(steps)


def described(n: Numbers) -> str:
    """The geometry in words."""
    (high, wide), (rows, columns) = n.x.shape, n.w.shape
    sides = [f"size {high} x {wide}", f"kernel {rows} x {columns}"]
    sides.append(f"stride {pair_words(n.geometry.pair('stride'))}")
    if any(map(sum, n.geometry.pair("padding"))):
        (top, bottom), (left, right) = n.geometry.pair("padding")
        even = top == bottom and left == right
        pad = pair_words((top, left)) if even else f"{top}+{bottom} by {left}+{right}"
        sides.append(f"padding {pad}")
    if n.geometry.pair("dilation") != (1, 1):
        sides.append(f"dilation {pair_words(n.geometry.pair('dilation'))}")
    return ", ".join(sides)


def padded(n: Numbers) -> Matrix:
    """x with its padding."""
    padding = n.geometry.pair("padding")
    name = "x, padded" if any(map(sum, padding)) else "x"
    kept = zero_pad(np.ones_like(n.x), padding)
    return matrix(name, zero_pad(n.x, padding), "input", inserted=put_in(kept))


def marked(name: str, values: np.ndarray) -> Matrix:
    """A result whose first cell is marked."""
    return matrix(name, values, "result", marked=cells([(0, 0)]))


def pair_words(pair: tuple[int, int]) -> str:
    """One number, or two where the axes differ."""
    return f"{pair[0]} x {pair[1]}" if pair[0] != pair[1] else f"{pair[0]}"


def counted(gaps: list[int]) -> str:
    """1 row and 2 columns."""
    rows, columns = gaps
    return f"{rows} row{'s' * (rows != 1)} and {columns} column{'s' * (columns != 1)}"


def _moves(stride: tuple[int, int]) -> str:
    if stride[0] == stride[1]:
        return "one cell at a time" if stride[0] == 1 else f"{stride[0]} cells at a time (stride)"
    return f"{stride[0]} down and {stride[1]} right (stride)"


def _floored(n: Numbers) -> str:
    below, right = n.geometry.pair("left_over")
    if (below, right) == (0, 0):
        return ""
    return f" The last {counted([below, right])} fill no window (rounding floor)."
