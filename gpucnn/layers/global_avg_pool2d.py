"""The mean of each channel."""

from typing import Any

from gpucnn.implements import implements
from gpucnn.layers.base import Layer, Shape, Window, image_shape
from gpucnn.ops.base import Array, Ops


@implements("A12")
class GlobalAvgPool2d(Layer):
    """(C, H, W) -> (C,): one number a map, its mean; each cell gets dy/(H·W) (S2)."""

    def _build(self, input_shape: Shape, ops: Ops, seed: int, dtype: str) -> Shape:
        return image_shape(input_shape)[:1]

    def _forward(self, x: Array, train: bool) -> tuple[Array, Any]:
        y = self.ops.avg_pool2d_forward(x, kernel_size=x.shape[2:])
        return y.reshape(x.shape[:2]), x.shape

    def _backward(self, dy: Array, saved: Any) -> Array:
        dy = dy.reshape((*dy.shape, 1, 1))
        return self.ops.avg_pool2d_backward(dy, saved, kernel_size=saved[2:])

    def window(self) -> Window:
        """The whole input."""
        _, h, w = self.input_shape
        return (h, w), (h, w)
