"""The mean of each window."""

from typing import Any

from gpucnn.implements import implements
from gpucnn.layers.base import flag
from gpucnn.layers.pool2d import Pool2d
from gpucnn.ops.base import Array
from gpucnn.ops.shapes import padding_pairs


@implements("A11")
class AvgPool2d(Pool2d):
    """y = each window's mean (S0 §3, S2; as torch.nn.AvgPool2d).

    With `count_include_pad` the divisor counts padding cells too. `stride` None means
    `kernel_size`; sizes are strict unless `rounding` is "floor" or `ceil_mode` is set.
    """

    def __init__(
        self,
        kernel_size: Any,
        *,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        rounding: str | None = None,
        name: str | None = None,
        lr_scale: float = 1.0,
        frozen: bool = False,
    ):
        super().__init__(kernel_size, stride, rounding, name=name, lr_scale=lr_scale, frozen=frozen)
        self.padding = padding_pairs(padding)
        self.ceil_mode = flag("ceil_mode", ceil_mode)
        self.count_include_pad = flag("count_include_pad", count_include_pad)

    def _settings(self) -> dict[str, Any]:
        return {
            "kernel_size": self.kernel_size,
            "stride": self.stride,
            "padding": self.padding,
            "ceil_mode": self.ceil_mode,
            "count_include_pad": self.count_include_pad,
        }

    def _forward(self, x: Array, train: bool) -> tuple[Array, Any]:
        return self.ops.avg_pool2d_forward(x, **self._settings()), x.shape

    def _backward(self, dy: Array, saved: Any) -> Array:
        return self.ops.avg_pool2d_backward(dy, saved, **self._settings())
