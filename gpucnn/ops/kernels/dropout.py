"""Dropout of elements, channels and blocks."""

from typing import Any

from gpucnn.ops.contract.arrays import Array
from gpucnn.ops.contract.dropout import DropoutOps, Step
from gpucnn.ops.kernels.base import KernelArrayOps


def _threshold(rate: float) -> int:
    """A draw below it drops: floor(rate·2³²), a uint32."""
    return int(rate * 2**32)


def _passed(step: Step) -> tuple[Any, ...]:
    """The counter and the pointer to it: one of them, and 0 or null."""
    return (step, None) if isinstance(step, int) else (0, step)


class KernelDropout(KernelArrayOps, DropoutOps):
    """The dropout family on kernels. A Philox call, and a thread, serves four draws."""

    def _dropout_forward(
        self, x: Array, rate: float, seed: int, layer: int, step: Step
    ) -> tuple[Array, Array]:
        y, mask = self.empty(x.shape, x.dtype), self.empty(x.shape, x.dtype)
        scalars = (_threshold(rate), 1 / (1 - rate), seed, layer, *_passed(step), x.size)
        self._launch_draws("dropout_forward", x.size, [x, y, mask, *scalars], dtype=x.dtype)
        return y, mask

    def _dropout2d_forward(
        self, x: Array, rate: float, seed: int, layer: int, step: Step
    ) -> tuple[Array, Array]:
        mask = self.empty((*x.shape[:2], 1, 1), x.dtype)
        scalars = (_threshold(rate), 1 / (1 - rate), seed, layer, *_passed(step), mask.size)
        self._launch_draws("dropout2d_forward", mask.size, [mask, *scalars], dtype=x.dtype)
        return self._masked(x, mask), mask

    def _drop_block2d_forward(
        self, x: Array, rate: float, seed: int, layer: int, step: Step, block_size: int
    ) -> tuple[Array, Array]:
        n, c, h, w = x.shape
        y, mask = self.empty(x.shape, x.dtype), self.empty(x.shape, x.dtype)
        corners = self.empty((n, c, h + block_size - 1, w + block_size - 1), "uint8")
        rows = self.empty((n, c, h, w + block_size - 1), "uint8")
        name, threshold = "drop_block2d_forward", _threshold(1 - (1 - rate) ** (1 / block_size**2))
        self._launch_draws(
            name,
            corners.size,
            [corners, threshold, seed, layer, *_passed(step), corners.size],
            dtype=x.dtype,
            symbol=f"{name}_corners",
        )
        self._launch_elements(
            name,
            rows.size,
            [corners, rows, h, rows.shape[3], block_size, rows.size],
            dtype=x.dtype,
            symbol=f"{name}_rows",
        )
        args = [x, rows, y, mask, 1 / (1 - rate), w, block_size, x.size]
        self._launch_elements(name, x.size, args, dtype=x.dtype)
        return y, mask

    def _dropout_backward(self, dy: Array, mask: Array) -> Array:
        return self._masked(dy, mask)

    def _masked(self, a: Array, mask: Array) -> Array:
        """a·mask, the mask of a's shape or of its channels."""
        out = self.empty(a.shape, a.dtype)
        plane = a.size // mask.size if mask.size else 1
        args = [a, mask, out, plane, a.size]
        self._launch_elements("dropout_backward", a.size, args, dtype=a.dtype)
        return out

    def _launch_draws(self, file: str, count: int, args: list[Any], **options: Any) -> None:
        """Launch a kernel whose threads loop over groups of four of `count` draws."""
        self._launch_elements(file, -(-count // 4), args, **options)
