"""The linear layer's operations, batch normalisation, and the losses."""

from abc import abstractmethod
from typing import Any, NamedTuple

from gpucnn.errors import ShapeError
from gpucnn.implements import implements
from gpucnn.ops.contract.arrays import Array, ArrayOps, choice, number
from gpucnn.ops.contract.elementwise import ends_in_relu
from gpucnn.ops.shapes import check_elements

REDUCTIONS = ("mean", "sum")


class BatchNormSaved(NamedTuple):
    """What batch norm's forward gives its backward: x's shape and dtype, and the device's own."""

    shape: tuple[int, ...]
    dtype: str
    device: Any
    residual: bool
    relu: bool
    """Whether the backward begins with ReLU's."""


class DenseOps(ArrayOps):
    """Operations over features and channels."""

    @implements("A15", "A16", "S4:5")
    def linear_forward(
        self, x: Array, w: Array, b: Array | None = None, *, activation: str | None = None
    ) -> Array:
        """Return y (N, out) = x (N, in) · wᵀ + b; w is (out, in), b (out,) (S0 §6).

        `activation="relu"` applies ReLU, to the bits of `relu_forward`.
        """
        self._check_linear(x, w)
        if b is not None:
            self._check("b", b, shape=(w.shape[0],), dtype=x.dtype.name)
        return self._linear_forward(x, w, b, ends_in_relu(activation))

    @implements("A16", "S0:1", "S2:BP2", "S2:BP3", "S2:BP4")
    def linear_backward(
        self, dy: Array, x: Array, w: Array, *, relu_y: Array | None = None
    ) -> tuple[Array, Array, Array]:
        """Return dx = dy·w, dw = dyᵀ·x, db = Σ_n dy (S0 §6, S2 BP2-BP4).

        With `relu_y`, x itself where it came out of a ReLU, dx passes that ReLU's backward as well:
        0 where x <= 0, to the bits of `relu_backward`.
        """
        self._check_linear(x, w)
        self._check("dy", dy, shape=(x.shape[0], w.shape[0]), dtype=x.dtype.name)
        if relu_y is not None:
            self._check("relu_y", relu_y, shape=x.shape, dtype=x.dtype.name)
        return self._linear_backward(dy, x, w, relu_y)

    @implements("A24")
    def batch_norm2d_forward(
        self,
        x: Array,
        gamma: Array,
        beta: Array,
        running_mean: Array,
        running_var: Array,
        *,
        train: bool,
        momentum: float = 0.1,
        eps: float = 1e-5,
        residual: Array | None = None,
        activation: str | None = None,
        activation_backward: bool = True,
    ) -> tuple[Array, BatchNormSaved]:
        """Return y (N, C, H, W) and what backward needs (as torch.nn.BatchNorm2d).

        In training the biased variance over N, H, W normalises, and the running statistics become
        (1 - momentum)·running + momentum·batch in place, with the unbiased variance. Raises
        ShapeError where N·H·W = 1 in training: one value has no variance. An empty batch leaves
        the running statistics alone. `residual`, of x's shape, is added to y; then
        `activation="relu"` applies ReLU. Their gradients are then part of the backward; with
        `activation_backward=False`, that of ReLU is not: the dy it gets has passed it already.
        """
        self._check("x", x, ndim=4)
        if x.shape[1] == 0:
            raise ShapeError(f"x needs at least one channel, got shape {x.shape}")
        for name, a in (
            ("gamma", gamma),
            ("beta", beta),
            ("running_mean", running_mean),
            ("running_var", running_var),
        ):
            self._check(name, a, shape=(x.shape[1],), dtype=x.dtype.name)
        if train:
            running = {"running_mean": running_mean, "running_var": running_var}
            self._check_apart(running, {"gamma": gamma, "beta": beta})
        if train and x.shape[0] * x.shape[2] * x.shape[3] == 1:
            raise ShapeError(
                f"batch norm in training needs more than one value a channel, got x of shape"
                f" {x.shape}: use a larger batch or train=False"
            )
        momentum, eps = number("momentum", momentum, 0, 1), number("eps", eps, 0, open_high=True)
        if residual is not None:
            self._check("residual", residual, shape=x.shape, dtype=x.dtype.name)
        relu = ends_in_relu(activation)
        cuts = relu and activation_backward
        y, saved = self._batch_norm2d_forward(
            x, gamma, beta, running_mean, running_var, train, momentum, eps, residual, relu, cuts
        )
        return y, BatchNormSaved(x.shape, x.dtype.name, saved, residual is not None, cuts)

    @implements("A24")
    def batch_norm2d_backward(
        self, dy: Array, saved: BatchNormSaved, gamma: Array
    ) -> tuple[Array, ...]:
        """Return dx, dgamma, dbeta; after train=False the statistics are constants.

        After a forward with `residual`, its gradient is a fourth result: dy behind ReLU, or without
        ReLU dy itself. gamma and the forward's beta must be what they were then.
        """
        self._check("dy", dy, shape=saved.shape, dtype=saved.dtype)
        self._check("gamma", gamma, shape=(saved.shape[1],), dtype=saved.dtype)
        *gradients, delta = self._batch_norm2d_backward(dy, saved.device, gamma)
        return (*gradients, delta) if saved.residual else tuple(gradients)

    @implements("A19", "C4", "S2:BP1", "E14")
    def softmax_cross_entropy(
        self, logits: Array, labels: Array, *, label_smoothing: float = 0.0, reduction: str = "mean"
    ) -> tuple[Array, Array]:
        """Return the loss (0-d, logits' dtype) and dlogits (S0 §6; as torch.nn.CrossEntropyLoss).

        logits (N, classes), labels int32 (N,). Smoothing ε trains towards (1 - ε) for the label
        and ε/classes for every class. "mean" divides by N, here and nowhere else. The loss of an
        empty batch is 0. A label outside 0..classes-1 raises DataError on `cpu`; on a device whose
        labels the host cannot read without waiting, it makes the loss and its row of dlogits NaN.
        """
        self._check("logits", logits, ndim=2)
        if logits.shape[1] == 0:
            raise ShapeError(f"logits need at least one class, got shape {logits.shape}")
        self._check("labels", labels, shape=logits.shape[:1], dtype="int32")
        smoothing = number("label_smoothing", label_smoothing, 0, 1)
        choice("reduction", reduction, REDUCTIONS)
        return self._softmax_cross_entropy(logits, labels, smoothing, reduction == "mean")

    @implements("A20", "C4")
    def mean_squared_error(
        self, y: Array, target: Array, *, reduction: str = "mean"
    ) -> tuple[Array, Array]:
        """Return ½·Σ(y - t)² a sample, summed or averaged over the samples, and dy.

        y and target (N, ...). The ½ makes dy = y - t (over N under "mean") (S3).
        """
        self._check("y", y)
        if y.ndim == 0:
            raise ShapeError("y must have a batch axis (N, ...), got a 0-d array")
        self._check("target", target, shape=y.shape, dtype=y.dtype.name)
        choice("reduction", reduction, REDUCTIONS)
        return self._mean_squared_error(y, target, reduction == "mean")

    def _check_linear(self, x: Array, w: Array) -> None:
        self._check("x", x, ndim=2)
        self._check("w", w, ndim=2, dtype=x.dtype.name)
        if x.shape[1] != w.shape[1]:
            raise ShapeError(
                f"x has {x.shape[1]} features, but w of shape {w.shape} takes {w.shape[1]}"
            )
        check_elements("y", (x.shape[0], w.shape[0]))

    @abstractmethod
    def _linear_forward(self, x: Array, w: Array, b: Array | None, relu: bool) -> Array: ...

    @abstractmethod
    def _linear_backward(
        self, dy: Array, x: Array, w: Array, relu_y: Array | None
    ) -> tuple[Array, Array, Array]: ...

    @abstractmethod
    def _batch_norm2d_forward(
        self,
        x: Array,
        gamma: Array,
        beta: Array,
        running_mean: Array,
        running_var: Array,
        train: bool,
        momentum: float,
        eps: float,
        residual: Array | None,
        relu: bool,
        cuts: bool,
    ) -> tuple[Array, Any]:
        """`cuts`: the backward begins with ReLU's."""

    @abstractmethod
    def _batch_norm2d_backward(
        self, dy: Array, saved: Any, gamma: Array
    ) -> tuple[Array, Array, Array, Array]:
        """dx, dgamma, dbeta, and dy behind ReLU, which is asked for after a residual alone."""

    @abstractmethod
    def _softmax_cross_entropy(
        self, logits: Array, labels: Array, smoothing: float, mean: bool
    ) -> tuple[Array, Array]: ...

    @abstractmethod
    def _mean_squared_error(self, y: Array, target: Array, mean: bool) -> tuple[Array, Array]: ...
