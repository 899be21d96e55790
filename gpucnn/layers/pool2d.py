"""What the pools share: a window over each channel, and the strict size rule."""

from typing import Any

from gpucnn.layers.base import Layer, Shape, Window, image_shape
from gpucnn.layers.windows import check_rounding, check_tiling
from gpucnn.ops.base import Ops
from gpucnn.ops.shapes import Padding, Pool2dShape, pair, window_extent


class Pool2d(Layer):
    """Base of max_pool2d, avg_pool2d and lp_pool2d: (C, H, W) -> (C, P, Q).

    `stride` None means `kernel_size`. Unless `rounding` is "floor" or `ceil_mode` is set, sizes
    are strict as in Conv2d.
    """

    padding: Padding = ((0, 0), (0, 0))
    dilation: tuple[int, int] = (1, 1)
    ceil_mode = False
    can_pad = True

    def __init__(
        self,
        kernel_size: Any,
        stride: Any,
        rounding: str | None,
        *,
        name: str | None,
        lr_scale: float,
        frozen: bool,
    ):
        super().__init__(name=name, lr_scale=lr_scale, frozen=frozen)
        self.kernel_size = pair("kernel_size", kernel_size)
        self.stride = None if stride is None else pair("stride", stride)
        self.rounding = check_rounding(rounding)

    def _build(self, input_shape: Shape, ops: Ops, seed: int, dtype: str) -> Shape:
        self._shape = Pool2dShape.of(
            (1, *image_shape(input_shape)),
            kernel_size=self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            ceil_mode=self.ceil_mode,
        )
        strict = self.strict if self.rounding is None else self.rounding == "strict"
        if strict and not self.ceil_mode:
            check_tiling(
                input_shape[1:],
                self.kernel_size,
                self.stride,
                self.padding,
                self.dilation,
                pool=True,
                can_pad=self.can_pad,
            )
        return self._shape.y_shape[1:]

    def window(self) -> Window:
        r, s = map(window_extent, self.kernel_size, self.dilation)
        return (r, s), self._shape.stride
