"""From δ to the gradients of a convolution's kernel and bias."""

import numpy as np

from gpucnn.explain.compare import agrees
from gpucnn.explain.forward import marked, padded, pair_words
from gpucnn.explain.input_gradient import dilated_delta
from gpucnn.explain.numbers import Numbers
from gpucnn.explain.steps import Step, factor, matrix, number
from gpucnn.explain.windows import Sliding
from gpucnn.reference.convolution import conv2d_backward_bias, conv2d_backward_weight


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
        text += f" With stride {pair_words(stride)}, δ is dilated here too."
    if dilation != (1, 1):
        text += f" The kernel's cells lay {pair_words(dilation)} apart, so δ moves by as much."
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
                    marked("dw", dw[0, 0]),
                ),
            ),
            tuple(slide.frame("dw", place, dw[0, 0][place]) for place in places),
            dw.shape[3],
            tuple(slide.line("dw", place, dw[0, 0][place]) for place in places),
            agrees(dw, "conv2d_backward_weight", *arguments, **n.geometry.keywords),
        ),
    )


def bias_steps(n: Numbers) -> tuple[Step, ...]:
    """Sum δ."""
    db = conv2d_backward_bias(n.dy[None, None])
    terms = " + ".join(map(factor, n.dy.ravel()))
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
