"""PyTorch's calls for making and changing batches of images, of a few operations where need be."""

from collections.abc import Callable
from typing import Any

from gpucnn.profiling.benchmark import images as cases

Draw = Callable[..., Any]
Call = Callable[[], Any]
Sizes = tuple[int, ...]


def _gather_images(torch: Any, sizes: Sizes, draw: Draw) -> Call:
    (pixels,) = _as_drawn(torch, draw, cases.pixels(sizes))
    (indices,) = _as_drawn(torch, draw, cases.backwards(sizes[0]))
    return lambda: pixels[indices].to(torch.float32) / 255


def _gather_rows(torch: Any, sizes: Sizes, draw: Draw) -> Call:
    x = draw(*sizes)
    (indices,) = _as_drawn(torch, draw, cases.backwards(sizes[0]))
    return lambda: x[indices]


def _shift(torch: Any, sizes: Sizes, draw: Draw) -> Call:
    """A window of each padded image, by its rows and columns."""
    n, _, h, w = sizes
    x, offsets, reach = draw(*sizes), cases.offsets(n), 2
    top, left = _as_drawn(torch, draw, offsets[:, 0] + reach, offsets[:, 1] + reach)
    rows = (top[:, None] + torch.arange(h, device=x.device))[:, None, :, None]
    columns = (left[:, None] + torch.arange(w, device=x.device))[:, None, None, :]
    image = torch.arange(n, device=x.device)[:, None, None, None]
    channel = torch.arange(sizes[1], device=x.device)[None, :, None, None]
    pad = torch.nn.functional.pad
    return lambda: pad(x, (reach,) * 4)[image, channel, rows, columns]


def _flip(torch: Any, sizes: Sizes, draw: Draw) -> Call:
    x = draw(*sizes)
    (chosen,) = _as_drawn(torch, draw, cases.chosen(sizes[0]) > 0)
    return lambda: torch.where(chosen[:, None, None, None], x.flip(3), x)


def _cut_out(torch: Any, sizes: Sizes, draw: Draw) -> Call:
    n, _, h, w = sizes
    x, corners = draw(*sizes), cases.offsets(n)
    top, left = _as_drawn(torch, draw, corners[:, 0], corners[:, 1])

    def call() -> Any:
        down = torch.arange(h, device=x.device) - top[:, None]
        right = torch.arange(w, device=x.device) - left[:, None]
        rows, columns = ((at >= 0) & (at < cases.HOLE) for at in (down, right))
        return x.masked_fill(rows[:, None, :, None] & columns[:, None, None, :], 0)

    return call


def _rotate(torch: Any, sizes: Sizes, draw: Draw) -> Call:
    """grid_sample's places go from -1 to 1 over the width and the height."""
    _, _, h, w = sizes
    x = draw(*sizes)
    (angles,) = _as_drawn(torch, draw, cases.angles(sizes[0]))
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    zero = torch.zeros_like(cos)
    rows = [torch.stack(row, 1) for row in ((cos, -sin * h / w, zero), (sin * w / h, cos, zero))]
    theta = torch.stack(rows, 1)
    functional = torch.nn.functional

    def call() -> Any:
        grid = functional.affine_grid(theta, sizes, align_corners=False)
        return functional.grid_sample(x, grid, align_corners=False)

    return call


def _normalize(torch: Any, sizes: Sizes, draw: Draw) -> Call:
    x, mean = draw(*sizes), draw(sizes[1])
    (deviation,) = _as_drawn(torch, draw, cases.deviations(sizes[1]))
    deviation = deviation.to(x.dtype)
    return lambda: (x - mean[:, None, None]) / deviation[:, None, None]


def _as_drawn(torch: Any, draw: Draw, *arrays: Any) -> list[Any]:
    """Arrays of the host where `draw` puts its own."""
    device = draw(1).device
    return [torch.from_numpy(a).to(device) for a in arrays]


CALLS: dict[str, Callable[[Any, Sizes, Draw], Call]] = {
    "gather_images": _gather_images,
    "gather_rows": _gather_rows,
    "shift_images": _shift,
    "flip_images": _flip,
    "cut_out_images": _cut_out,
    "rotate_images": _rotate,
    "normalize_images": _normalize,
}
