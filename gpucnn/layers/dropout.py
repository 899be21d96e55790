"""Dropout of elements, channels and blocks; evaluation passes x through."""

from typing import Any

from gpucnn.draws import derive
from gpucnn.errors import ConfigError
from gpucnn.implements import implements
from gpucnn.layers.base import Layer, Shape, image_shape
from gpucnn.ops.base import Array, Ops
from gpucnn.ops.contract.arrays import number
from gpucnn.ops.shapes import integer


@implements("A23")
class Dropout(Layer):
    """Drop elements at `rate`, scale the kept by 1/(1 - rate) (S2; as torch.nn.Dropout).

    The mask is a function of the layer's seed and `step`, which counts training forwards;
    `set_step` sets it, so a resumed run draws what the unbroken one would have drawn. A step in
    device memory, a 0-d uint32 array, is counted by whoever owns it.
    """

    def __init__(
        self,
        rate: float,
        *,
        name: str | None = None,
        lr_scale: float = 1.0,
        frozen: bool = False,
    ):
        super().__init__(name=name, lr_scale=lr_scale, frozen=frozen)
        self.rate = number("rate", rate, 0, 1, open_high=True)
        self.step: int | Array = 0

    def _build(self, input_shape: Shape, ops: Ops, seed: int, dtype: str) -> Shape:
        # The seed is this layer's own, so the draw's layer index stays 0.
        self._draw: dict[str, Any] = {
            "rate": self.rate,
            "seed": derive(seed, "dropout"),
            "layer": 0,
        }
        self.step = 0
        return input_shape

    def set_step(self, step: int | Array) -> None:
        self.step = step if self.ops.is_array(step) else integer("step", step, minimum=0)

    def _forward(self, x: Array, train: bool) -> tuple[Array, Any]:
        if not train:
            return x, None
        y, mask = self._drop(x)
        if not self.ops.is_array(self.step):
            self.step += 1
        return y, mask

    def _drop(self, x: Array) -> tuple[Array, Array]:
        return self.ops.dropout_forward(x, step=self.step, **self._draw)

    def _backward(self, dy: Array, saved: Any) -> Array:
        return self.ops.dropout_backward(dy, saved)


@implements("A23", "E17")
class Dropout2d(Dropout):
    """As Dropout, whole channels at a time (S2's spatial dropout; as torch.nn.Dropout2d)."""

    def _build(self, input_shape: Shape, ops: Ops, seed: int, dtype: str) -> Shape:
        return super()._build(image_shape(input_shape), ops, seed, dtype)

    def _drop(self, x: Array) -> tuple[Array, Array]:
        return self.ops.dropout2d_forward(x, step=self.step, **self._draw)


@implements("A23", "E17")
class DropBlock2d(Dropout):
    """As Dropout, squares of `block_size` at a time (S2; Ghiasi et al., DropBlock, 2018)."""

    def __init__(
        self,
        rate: float,
        block_size: int,
        *,
        name: str | None = None,
        lr_scale: float = 1.0,
        frozen: bool = False,
    ):
        super().__init__(rate, name=name, lr_scale=lr_scale, frozen=frozen)
        self.block_size = integer("block_size", block_size, minimum=1)

    def _build(self, input_shape: Shape, ops: Ops, seed: int, dtype: str) -> Shape:
        _, h, w = image_shape(input_shape)
        if self.block_size > min(h, w):
            raise ConfigError(
                f"block_size must be at most the image's smaller side, got {self.block_size} for"
                f" {h} by {w}"
            )
        return super()._build(input_shape, ops, seed, dtype)

    def _drop(self, x: Array) -> tuple[Array, Array]:
        return self.ops.drop_block2d_forward(
            x, step=self.step, block_size=self.block_size, **self._draw
        )
