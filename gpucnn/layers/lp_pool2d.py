"""The p-norm of each window."""

from typing import Any

from gpucnn.implements import implements
from gpucnn.layers.pool2d import Pool2d
from gpucnn.ops.base import Array
from gpucnn.ops.contract.arrays import number


@implements("A13")
class LpPool2d(Pool2d):
    """y = (Σ|x|^p)^(1/p) of each window, p >= 1 (S2's L2 pool; as torch.nn.LPPool2d for x >= 0).

    There is no mean, and the gradient is 0 where y = 0. `stride` None means `kernel_size`; sizes
    are strict unless `rounding` is "floor".
    """

    can_pad = False

    def __init__(
        self,
        kernel_size: Any,
        *,
        stride: Any = None,
        p: float = 2,
        rounding: str | None = None,
        name: str | None = None,
        lr_scale: float = 1.0,
        frozen: bool = False,
    ):
        super().__init__(kernel_size, stride, rounding, name=name, lr_scale=lr_scale, frozen=frozen)
        self.p = number("p", p, 1, open_high=True)

    def _settings(self) -> dict[str, Any]:
        return {"kernel_size": self.kernel_size, "stride": self.stride, "p": self.p}

    def _forward(self, x: Array, train: bool) -> tuple[Array, Any]:
        y = self.ops.lp_pool2d_forward(x, **self._settings())
        return y, (x, y)

    def _backward(self, dy: Array, saved: Any) -> Array:
        return self.ops.lp_pool2d_backward(dy, *saved, **self._settings())
