"""From δ to the gradient of a convolution's input."""

import numpy as np

from gpucnn.explain.compare import agrees
from gpucnn.explain.forward import counted, marked, pair_words
from gpucnn.explain.numbers import Numbers
from gpucnn.explain.steps import Line, Matrix, Step, cells, matrix
from gpucnn.explain.windows import Sliding, put_in
from gpucnn.reference.convolution import (
    conv2d_backward_input,
    full_correlation,
    insert_zeros,
    rot180,
    zero_pad,
)


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
                f"The stride was {pair_words(stride)}: {counted(gaps)} of zeros between"
                " neighbouring rows and columns of δ.",
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
    line: Line = (matrix("w", n.w, "kernel"), "→")
    if dilation != (1, 1):
        gapped = insert_zeros(np.ones_like(n.w), dilation)
        line = (*line, matrix("w, dilated", spread, "kernel", inserted=put_in(gapped)), "→")
        words = f"First {counted([d - 1 for d in dilation])} of zeros between its cells. {words}"
    steps.append(Step("Turn the kernel by 180°", words, "S0 §4, S1 §3.2", ((*line, turned),)))
    slide = Sliding(wide, turned)
    cropped = any(map(sum, n.geometry.pair("padding"))) or n.geometry.pair("left_over") != (0, 0)
    name = "full" if cropped else "dx"
    result = marked(name, full)
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
            full.shape[1],
            tuple(slide.line(name, place, full[place]) for place in places),
            "" if cropped else agreed,
        )
    )
    if cropped:
        steps.append(_crop(n, full, dx[0, 0], agreed))
    return tuple(steps)


def dilated_delta(n: Numbers) -> Matrix:
    """δ with stride - 1 zeros between its rows and columns."""
    stride = n.geometry.pair("stride")
    name = "δ" if stride == (1, 1) else "δ, dilated"
    kept = insert_zeros(np.ones_like(n.dy), stride)
    return matrix(name, insert_zeros(n.dy, stride), "delta", inserted=put_in(kept))


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
            f"No window reached the last {counted([below, right])} of the padded input: their"
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
