"""The numbers of a walk: the documents' own examples, or small whole numbers that are drawn."""

from dataclasses import dataclass

import numpy as np

from gpucnn.draws import generator
from gpucnn.explain.settings import Settings
from gpucnn.explain.sizes import MOST_SIDE, Geometry, geometry

# S3 (2.1), and δ counted up as in its gradients.
G1_IMAGE = [[1, 3, 1, 4], [2, 8, 5, 1], [3, 2, 0, 3]]
G1_KERNEL = [[1, 0], [-1, 1]]
COUNTED = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
# S0 §3: the largest numbers of the blocks lie top left, bottom right, top right, bottom left.
P1_IMAGE = [[9, 1, 3, 2], [4, 5, 6, 7], [1, 8, 2, 4], [3, 0, 5, 1]]
P1_DELTA = [[2, 8], [4, 6]]
OVERLAP_IMAGE = [[1, 2, 3], [4, 9, 5], [6, 7, 8]]


@dataclass(frozen=True, eq=False)
class Numbers:
    """x (H, W), w (R, S), δ (P, Q) and where the windows lie; `floor` leaves cells over."""

    x: np.ndarray
    w: np.ndarray
    dy: np.ndarray
    geometry: Geometry


def draw(seed: int, purpose: str, shape: tuple[int, ...], low: int, high: int) -> np.ndarray:
    """Whole numbers from low to high, both included, as float64."""
    values = generator(seed, f"explain {purpose}").integers(low, high + 1, shape)
    return values.astype(np.float64)


def convolution(settings: Settings) -> Numbers:
    """A small convolution: the documents' example of its stride and padding, or one drawn.

    G4 at stride 2, G5 at stride 2 with padding 1, and G1 otherwise. Where a size or a kernel is
    given, the other is G1's whatever the stride, so that the remedies of an error hold.
    """
    stride, padding = settings.stride or (1, 1), settings.padding or ((0, 0), (0, 0))
    dilation = settings.dilation or (1, 1)
    shaped = settings.size is not None or settings.kernel is not None
    x, w = np.array(G1_IMAGE, np.float64), np.array(G1_KERNEL, np.float64)
    if stride == (2, 2) and dilation == (1, 1) and not shaped:
        w = np.array(COUNTED, np.float64)
        x = w if padding == ((1, 1), (1, 1)) else np.arange(25.0).reshape(5, 5)
    drawn = shaped or settings.seed is not None
    (high, wide), (rows, columns) = x.shape, w.shape
    found = geometry(
        settings.size or (high, wide),
        settings.kernel or (rows, columns),
        stride,
        padding,
        dilation,
        floor=settings.rounding == "floor",
    )
    outputs = found.pair("outputs")
    if not drawn:
        return Numbers(x, w, np.arange(1.0, np.prod(outputs) + 1).reshape(outputs), found)
    seed = settings.seed or 0
    return Numbers(
        draw(seed, "x", found.pair("size"), 0, 9),
        draw(seed, "w", found.pair("kernel"), -2, 2),
        draw(seed, "dy", outputs, -3, 3),
        found,
    )


def pool(
    settings: Settings, *, overlap: bool = False, padded: bool = True, most: int = MOST_SIDE
) -> Numbers:
    """A small pool: S0's example, or its stride smaller than the window (S3 (4.6)), or one drawn.

    w is the window's shape alone, in zeros. `padded` says whether this pool takes padding, `most`
    how long a side may be.
    """
    x = np.array(OVERLAP_IMAGE if overlap else P1_IMAGE, np.float64)
    kernel = settings.kernel or (2, 2)
    stride = settings.stride or ((1, 1) if overlap else kernel)
    (high, wide) = x.shape
    options = ("kernel", "stride", "size", *(("padding",) if padded else ()), "rounding")
    found = geometry(
        settings.size or (high, wide),
        kernel,
        stride,
        settings.padding or ((0, 0), (0, 0)),
        floor=settings.rounding == "floor",
        options=options,
        most=most,
        pool=True,
        tied=settings.stride is None and not overlap,
    )
    outputs, seed = found.pair("outputs"), settings.seed or 0
    drawn = settings.size is not None or settings.seed is not None
    if not drawn and not overlap and outputs == (2, 2):
        dy = np.array(P1_DELTA, np.float64)
    elif not drawn:
        dy = np.arange(1.0, np.prod(outputs) + 1).reshape(outputs)
    else:
        x = draw(seed, "x", found.pair("size"), 0, 9)
        dy = draw(seed, "dy", outputs, 1, 9)
    return Numbers(x, np.zeros(kernel), dy, found)
