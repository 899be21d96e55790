"""The maximum of each window."""

from typing import Any

from gpucnn.implements import implements
from gpucnn.layers.base import flag
from gpucnn.layers.fusion import ALONE
from gpucnn.layers.pool2d import Pool2d
from gpucnn.ops.base import Array
from gpucnn.ops.contract.arrays import choice
from gpucnn.ops.shapes import padding_pairs, pair


@implements("A9", "C7")
class MaxPool2d(Pool2d):
    """y = each window's maximum; dy goes to the winner (S0 §3, S3 §4; as torch.nn.MaxPool2d).

    Among equals `tie_break` "row_major" takes the first in reading order, "column_major" the
    smallest column, then the smallest row (S3). Padding, up to dilation·(kernel - 1) a side, never
    wins. `stride` None means `kernel_size`; sizes are strict unless `rounding` is "floor" or
    `ceil_mode` is set.
    """

    fusion = ALONE

    def __init__(
        self,
        kernel_size: Any,
        *,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        tie_break: str = "row_major",
        rounding: str | None = None,
        name: str | None = None,
        lr_scale: float = 1.0,
        frozen: bool = False,
    ):
        super().__init__(kernel_size, stride, rounding, name=name, lr_scale=lr_scale, frozen=frozen)
        self.padding = padding_pairs(padding)
        self.dilation = pair("dilation", dilation)
        self.ceil_mode = flag("ceil_mode", ceil_mode)
        choice("tie_break", tie_break, ("row_major", "column_major"))
        self.tie_break = tie_break

    def _settings(self) -> dict[str, Any]:
        return {
            "kernel_size": self.kernel_size,
            "stride": self.stride,
            "padding": self.padding,
            "dilation": self.dilation,
            "ceil_mode": self.ceil_mode,
        }

    def _forward(self, x: Array, train: bool) -> tuple[Array, Any]:
        y, argmax = self.ops.max_pool2d_forward(x, tie_break=self.tie_break, **self._settings())
        return y, (argmax, x.shape, y if self.fusion.relu_input else None)

    def _backward(self, dy: Array, saved: Any) -> Array:
        argmax, x_shape, relu_y = saved
        return self.ops.max_pool2d_backward(dy, argmax, x_shape, **self._settings(), relu_y=relu_y)
