"""Faults in gathering, augmenting and normalising images."""

from collections.abc import Callable

from gpucnn.ops.base import Ops
from tests.kernels import test_images as kernels
from tests.kernels.devices import PoisonedOps
from tests.kernels.faults import Fault
from tests.ops import test_images as general

Check = Callable[[Ops], None]


def on(check: Callable[..., None], *args: object) -> Check:
    """`check` on results that begin as NaN."""
    return lambda ops: check(PoisonedOps(ops.launcher), *args)  # type: ignore[attr-defined]


def change(check: Callable[..., None], dtype: str = "float32") -> Check:
    return on(check, (3, 2, 5, 7), dtype)


def beyond(ops: Ops) -> None:
    general.test_an_index_that_cannot_be(ops, 3)


def below(ops: Ops) -> None:
    general.test_an_index_that_cannot_be(ops, -1)


def far(ops: Ops) -> None:
    for extreme in (-general.MOST - 1, general.MOST):
        general.test_the_farthest_offsets_and_corners(ops, extreme)


def wild_turns(ops: Ops) -> None:
    for wrong in ([float("nan"), 0], [0, float("inf")], [1.5, 0], [0, -2]):
        general.test_a_turn_that_cannot_be(ops, "float32", wrong)


shift, flip = change(general.check_shift), change(general.check_flip)
cut_out, rotate = change(general.check_cut_out), change(general.check_rotate)
normalize = change(general.check_normalize)
large = on(general.check_normalize, (5, 1, 20, 17), "float32")
gather = on(general.check_gather_images, (1, 4, 4), "uint8")
odd_gather = on(general.check_gather_images, (3, 5, 7), "uint8")
rows = on(general.check_gather_rows, (5, 10), "float32")


def faults(kernel: str, *changes: tuple[str, str, str, Check, str]) -> list[Fault]:
    return [Fault(kernel, *change) for change in changes]


WRONG = "wrong value"
# Found by the emulator as it is without checks: g++ fuses products with sums from -O2 on alone.
FUSED = [
    Fault("rotate_images", "places by fma", "product(cosine, v) + product(sine, u)",
          "cosine * v + sine * u", on(general.check_rotate, (1, 2, 23, 21), "float64")),
    Fault("rotate_images", "blend by fma", "product(pixel, weights[k])", "pixel * weights[k]",
          rotate),
]  # fmt: skip
FAULTS = [
    *faults(
        "images.cuh",
        ("a place too many", "at < count", "at <= count", normalize, "memcheck"),
        ("the grid's stride is a block's", "at += threads", "at += blockDim.x", large, "racecheck"),
        ("rows of the height", "place / w)", "place / h)", normalize, "memcheck"),
        ("channels an image apart", "channel * plane", "channel * plane * n", flip, "memcheck"),
        ("black looked up", "source == kBlack ? scalar_t(0) : x", "x", shift, "memcheck"),
    ),
    *faults(
        "gather_images",
        ("divided by 256", "255.0f", "256.0f", gather, WRONG),
        ("the image behind the last", "index < total", "index <= total", beyond, "memcheck"),
        ("an image before the first", "index >= 0 && ", "", below, "memcheck"),
        ("place in the batch, not in the set", "uint64(index)", "uint64(k)", gather, WRONG),
        ("groups of images that have none", "pixels % 4 == 0 && ", "", odd_gather, "memcheck"),
        ("alignment of the set not looked at",
         " && reinterpret_cast<uint64>(images) % (4 * sizeof(PIXEL)) == 0", "",
         on(kernels.check_unaligned), "memcheck"),
        ("alignment of the result not looked at", " && aligned(y)", "",
         on(kernels.check_unaligned_result), "memcheck"),
    ),
    *faults(
        "gather_rows",
        ("the row behind the last", "index < total", "index <= total", beyond, "memcheck"),
        ("a row before the first", "index >= 0 && ", "", below, "memcheck"),
        ("the first word alone", " + i % words", "", rows, WRONG),
        ("0 for a row that is not there", "0xffffffffu", "0u", beyond, WRONG),
    ),
    *faults(
        "shift_images",
        ("the other way", "i + uint32(", "i - uint32(", shift, WRONG),
        ("rows and columns swapped", "offsets[2 * image + 1]", "offsets[2 * image]", shift, WRONG),
        ("columns come round", " && column < uint32(w)", "", shift, WRONG),
        ("a row below the last", "row < uint32(h)", "row <= uint32(h)", shift, WRONG),
        ("far is near", "i + uint32(", "i + uint8(", far, WRONG),
    ),
    *faults(
        "flip_images",
        ("the others", "w - 1 - j : j", "j : w - 1 - j", flip, WRONG),
        ("one to the right", "w - 1 - j :", "w - j :", flip, "memcheck"),
        ("upside down", "i * w", "(h - 1 - i) * w", flip, WRONG),
        ("the first image's", "chosen[image]", "chosen[0]", flip, WRONG),
        ("1 alone", "chosen[image]", "chosen[image] == 1", flip, WRONG),
    ),
    *faults(
        "cut_out_images",
        ("a row too many", "down < uint32(size)", "down <= uint32(size)", cut_out, WRONG),
        ("a column too few", "right < uint32(size)", "right + 1 < uint32(size)", cut_out, WRONG),
        ("the cross", "(size) && right", "(size) || right", cut_out, WRONG),
        ("signed", "down < uint32(size)", "int(down) < size", far, WRONG),
    ),
    *faults(
        "rotate_images",
        ("the other way", "u) - product(sine, v)", "u) + product(sine, v)", rotate, WRONG),
        ("places in float", "const double from_i = near(", "const float from_i = near(",
         rotate, WRONG),
        ("one centre for both", "0.5 * (w - 1)", "0.5 * (h - 1)", rotate, WRONG),
        ("weights swapped", "product(up, right), product(down, aside)",
         "product(down, aside), product(up, right)", rotate, WRONG),
        ("above the image", "row >= 0 && ", "", rotate, "memcheck"),
        ("no cosine", "fabs(cosine) <= 1 && ", "", wild_turns, WRONG),
        ("the next image's angle", "turns[2 * image + 1]", "turns[2 * image + 3]", rotate,
         "memcheck"),
    ),
    *faults(
        "normalize_images",
        ("mean of the first channel", "mean[channel]", "mean[0]", normalize, WRONG),
        ("the next channel's deviation", "deviation[channel]", "deviation[channel + 1]",
         normalize, "memcheck"),
        ("times the inverse", "(x[at] - mean[channel]) / deviation[channel]",
         "(x[at] - mean[channel]) * (1 / deviation[channel])", normalize, WRONG),
        ("divided before", "(x[at] - mean[channel]) / deviation[channel]",
         "x[at] / deviation[channel] - mean[channel] / deviation[channel]", normalize, WRONG),
    ),
]  # fmt: skip
