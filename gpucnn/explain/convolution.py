"""The walks through a convolution: forward, and its gradients."""

import numpy as np

from gpucnn.explain.compare import agrees
from gpucnn.explain.numbers import Numbers, convolution
from gpucnn.explain.settings import Settings
from gpucnn.explain.steps import Cell, Matrix, Step, Walk, cells, matrix, number
from gpucnn.explain.windows import Sliding, put_in
from gpucnn.reference.convolution import (
    conv2d_backward_bias,
    conv2d_backward_input,
    conv2d_backward_weight,
    conv2d_forward,
    convolve,
    full_correlation,
    insert_zeros,
    rot180,
    zero_pad,
)

ORIGIN = cells([(0, 0)])


def walk(settings: Settings) -> Walk:
    """Forward, then the three gradients."""
    n = convolution(settings)
    steps = (*forward_steps(n), *input_steps(n), *weight_steps(n), *bias_steps(n))
    return Walk("conv", f"A convolution and its gradients: {described(n)}", steps)


def forward(settings: Settings) -> Walk:
    """The windows of the forward pass."""
    n = convolution(settings)
    return Walk("conv-forward", f"Convolution forward: {described(n)}", forward_steps(n))


def backward_input(settings: Settings) -> Walk:
    """From δ to the gradient of the input."""
    n = convolution(settings)
    title = f"The gradient of a convolution's input: {described(n)}"
    return Walk("conv-backward-input", title, input_steps(n))


def backward_weight(settings: Settings) -> Walk:
    """From δ to the gradients of the kernel and the bias."""
    n = convolution(settings)
    title = f"The gradients of a convolution's weights: {described(n)}"
    return Walk("conv-backward-weight", title, (*weight_steps(n), *bias_steps(n)))


def described(n: Numbers) -> str:
    """The geometry in words."""
    (high, wide), (rows, columns) = n.x.shape, n.w.shape
    sides = [f"size {high} x {wide}", f"kernel {rows} x {columns}"]
    sides.append(f"stride {_pair(n.geometry.pair('stride'))}")
    if any(map(sum, n.geometry.pair("padding"))):
        (top, bottom), (left, right) = n.geometry.pair("padding")
        even = top == bottom and left == right
        pad = _pair((top, left)) if even else f"{top}+{bottom} by {left}+{right}"
        sides.append(f"padding {pad}")
    if n.geometry.pair("dilation") != (1, 1):
        sides.append(f"dilation {_pair(n.geometry.pair('dilation'))}")
    return ", ".join(sides)


def padded(n: Numbers) -> Matrix:
    """x with its padding."""
    padding = n.geometry.pair("padding")
    name = "x, padded" if any(map(sum, padding)) else "x"
    kept = zero_pad(np.ones_like(n.x), padding)
    return matrix(name, zero_pad(n.x, padding), "input", inserted=put_in(kept))


def dilated_delta(n: Numbers) -> Matrix:
    """δ with stride - 1 zeros between its rows and columns."""
    stride = n.geometry.pair("stride")
    name = "δ" if stride == (1, 1) else "δ, dilated"
    kept = insert_zeros(np.ones_like(n.dy), stride)
    return matrix(name, insert_zeros(n.dy, stride), "delta", inserted=put_in(kept))


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
        text += f"; its cells lie {_pair(dilation)} apart (dilation)"
    steps.append(
        Step(
            "Forward: lay the kernel on every window",
            f"{text}.{_floored(n)}",
            "S3 (2.1), S4 (1)",
            ((slide.frame(x.name, (0, 0)), "⋆", w, "=", _marked("y", y[0, 0], "result", ORIGIN)),),
            tuple(slide.frame("y", place, y[0, 0][place]) for place in places),
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


def input_steps(n: Numbers) -> tuple[Step, ...]:
    """Dilate δ, pad it, turn the kernel, correlate in full, crop."""
    stride, dilation = n.geometry.pair("stride"), n.geometry.pair("dilation")
    delta, given = dilated_delta(n), matrix("δ = ∂L/∂y", n.dy, "delta")
    border = [extent - 1 for extent in n.geometry.pair("extent")]
    spread = insert_zeros(n.w, dilation)
    kept = put_in(rot180(insert_zeros(np.ones_like(n.w), dilation)))
    wide = matrix("δ, padded", zero_pad(delta.values, border), "delta")
    real = insert_zeros(np.ones_like(n.dy), stride)
    wide = matrix(wide.name, wide.values, "delta", inserted=put_in(zero_pad(real, border)))
    turned = matrix("rot180(w)", rot180(spread), "kernel", inserted=kept)
    full = full_correlation(delta.values, turned.values)
    steps = []
    if stride != (1, 1):
        gaps = [s - 1 for s in stride]
        steps.append(
            Step(
                "Backward to the input: dilate δ by the stride",
                f"The stride was {_pair(stride)}: {_counted(gaps)} of zeros between"
                " neighbouring rows and columns of δ (shown as dots).",
                "S4 (15)",
                ((given, "→", delta),),
            )
        )
    else:
        delta = given
    steps.append(
        Step(
            "Pad δ: kernel - 1 zeros on every side"
            if dilation == (1, 1)
            else "Pad δ: dilation·(kernel - 1) zeros on every side",
            "So that every cell of x, also one in a corner, gets a window.",
            "S0 §4, S4 (15)",
            ((delta, "→", wide),),
        )
    )
    words = "Upside down, then left to right. Forward, x[i+m] met w[m]; seen from x, δ meets w the"
    words += " other way round."
    line = (matrix("w", n.w, "kernel"), "→")
    if dilation != (1, 1):
        gapped = insert_zeros(np.ones_like(n.w), dilation)
        line = (*line, matrix("w, dilated", spread, "kernel", inserted=put_in(gapped)), "→")
        words = f"First {_counted([d - 1 for d in dilation])} of zeros between its cells. {words}"
    steps.append(Step("Turn the kernel by 180°", words, "S0 §4, S1 §3.2", ((*line, turned),)))
    slide = Sliding(wide, turned)
    cropped = any(map(sum, n.geometry.pair("padding"))) or n.geometry.pair("left_over") != (0, 0)
    name = "full" if cropped else "dx"
    result = _marked(name, full, "result", ORIGIN)
    places = list(np.ndindex(*full.shape))
    dx = conv2d_backward_input(
        n.dy[None, None], n.w[None, None], (1, 1, *n.x.shape), **n.geometry.keywords
    )
    agreed = agrees(
        dx,
        "conv2d_backward_input",
        n.dy[None, None],
        n.w[None, None],
        (1, 1, *n.x.shape),
        **n.geometry.keywords,
    )
    steps.append(
        Step(
            "Correlate: the turned kernel on every window, one cell at a time",
            "With several filters, the results for one input channel are summed over the filters:"
            " input and output channels change places.",
            "S0 §4, S1 §3.2, S2 BP2, S4 (15)",
            ((slide.frame(wide.name, (0, 0)), "⋆", turned, "=", result),),
            tuple(slide.frame(name, place, full[place]) for place in places),
            tuple(slide.line(name, place, full[place]) for place in places),
            "" if cropped else agreed,
        )
    )
    if cropped:
        steps.append(_crop(n, full, dx[0, 0], agreed))
    return tuple(steps)


def _crop(n: Numbers, full: np.ndarray, dx: np.ndarray, agreed: str) -> Step:
    (top, _), (left, _) = n.geometry.pair("padding")
    below, right = n.geometry.pair("left_over")
    grown = np.pad(full, ((0, below), (0, right)))
    missing = put_in(np.pad(np.ones_like(full), ((0, below), (0, right))))
    inside = cells((top + i, left + j) for i, j in np.ndindex(*dx.shape))
    if not np.array_equal(grown[top : top + dx.shape[0], left : left + dx.shape[1]], dx):
        raise ArithmeticError(f"cropping {grown} does not give {dx}")
    text = []
    if (below, right) != (0, 0):
        text.append(
            f"No window reached the last {_counted([below, right])} of the padded input: their"
            " gradient is 0, so zeros come below and to the right."
        )
    if inside != cells(np.ndindex(*grown.shape)):
        text.append("Forward, x was padded; the gradient of the padding is of no use and goes.")
    source = matrix("full", grown, "result", marked=inside, inserted=missing)
    return Step(
        "Cut the padding off" if len(text) == 1 and "padded" in text[0] else "Back to x's size",
        " ".join(text),
        "S4 (15)",
        ((source, "→", matrix("dx", dx, "result")),),
        agrees=agreed,
    )


def weight_steps(n: Numbers) -> tuple[Step, ...]:
    """Dilate δ and lay it on the input."""
    stride, dilation = n.geometry.pair("stride"), n.geometry.pair("dilation")
    x, delta = padded(n), dilated_delta(n)
    arguments = (n.dy[None, None], n.x[None, None], (1, 1, *n.w.shape))
    dw = conv2d_backward_weight(*arguments, **n.geometry.keywords)
    slide = Sliding(x, delta, dilation)
    places = list(np.ndindex(*n.w.shape))
    text = "δ is the kernel now, and nothing is turned: dw[m,n] sums what w[m,n] was multiplied by."
    if stride != (1, 1):
        text += f" With stride {_pair(stride)}, δ is dilated here too."
    if dilation != (1, 1):
        text += f" The kernel's cells lay {_pair(dilation)} apart, so δ moves by {_pair(dilation)}."
    if n.geometry.pair("left_over") != (0, 0):
        text += " What δ would find beyond the kernel's size is left out."
    return (
        Step(
            "Backward to the kernel: lay δ on the input",
            f"{text} Over a batch, the images' gradients are summed.",
            "S0 §5, S1 §3.1, S2 BP4, S4 (18)",
            (
                (
                    slide.frame(x.name, (0, 0)),
                    "⋆",
                    delta,
                    "=",
                    _marked("dw", dw[0, 0], "result", ORIGIN),
                ),
            ),
            tuple(slide.frame("dw", place, dw[0, 0][place]) for place in places),
            tuple(slide.line("dw", place, dw[0, 0][place]) for place in places),
            agrees(dw, "conv2d_backward_weight", *arguments, **n.geometry.keywords),
        ),
    )


def bias_steps(n: Numbers) -> tuple[Step, ...]:
    """Sum δ."""
    db = conv2d_backward_bias(n.dy[None, None])
    terms = " + ".join(f"({number(v)})" if v < 0 else number(v) for v in n.dy.ravel())
    return (
        Step(
            "Backward to the bias: sum δ",
            "One bias is added to every cell of its map, so its gradient is the sum of the map.",
            "S0 §5, S2 BP3, S4 (19)",
            ((matrix("δ", n.dy, "delta"),),),
            sums=(f"db = {terms} = {number(db[0])}",),
            agrees=agrees(db, "conv2d_backward_bias", n.dy[None, None]),
        ),
    )


def _marked(name: str, values: np.ndarray, role: str, marked: frozenset[Cell]) -> Matrix:
    return matrix(name, values, role, marked=marked)


def _pair(pair: tuple[int, int]) -> str:
    return f"{pair[0]} x {pair[1]}" if pair[0] != pair[1] else f"{pair[0]}"


def _moves(stride: tuple[int, int]) -> str:
    if stride[0] == stride[1]:
        return "one cell at a time" if stride[0] == 1 else f"{stride[0]} cells at a time (stride)"
    return f"{stride[0]} down and {stride[1]} right (stride)"


def _counted(gaps: list[int]) -> str:
    rows, columns = gaps
    return f"{rows} row{'s' * (rows != 1)} and {columns} column{'s' * (columns != 1)}"


def _floored(n: Numbers) -> str:
    below, right = n.geometry.pair("left_over")
    if (below, right) == (0, 0):
        return ""
    return f" The last {_counted([below, right])} fill no window (rounding floor)."
