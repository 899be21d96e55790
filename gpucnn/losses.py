"""The losses: called with the ops, the model's output and the target, they give (loss, dy).

The loss is a 0-d device array. Gradients are divided by the number of samples here, under
`reduction="mean"`, and nowhere else.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

from gpucnn.implements import implements
from gpucnn.ops.base import Array, Ops
from gpucnn.ops.contract.arrays import choice, number
from gpucnn.ops.contract.dense import REDUCTIONS


@implements("C4", "E4", "E21")
class Loss(ABC):
    """Base of the losses.

    `target` says what they compare with: "labels", int32 (N,), or "one_hot", (N, classes) in the
    output's dtype.
    """

    target: ClassVar[str]

    def __init__(self, *, reduction: str = "mean"):
        choice("reduction", reduction, REDUCTIONS)
        self.reduction = reduction

    @abstractmethod
    def __call__(self, ops: Ops, y: Array, target: Array) -> tuple[Array, Array]:
        """Return the loss and its gradient dy, of y's shape.

        Raises ShapeError or DeviceError for arrays that do not fit.
        """


@implements("A19")
class SoftmaxCrossEntropy(Loss):
    """-log softmax(y)[label], for logits y (N, classes) (S0 §6; as torch.nn.CrossEntropyLoss).

    `label_smoothing` ε trains towards 1 - ε for the label plus ε/classes for every class.
    """

    target = "labels"

    def __init__(self, *, label_smoothing: float = 0.0, reduction: str = "mean"):
        super().__init__(reduction=reduction)
        self.label_smoothing = number("label_smoothing", label_smoothing, 0, 1)

    def __call__(self, ops: Ops, y: Array, target: Array) -> tuple[Array, Array]:
        return ops.softmax_cross_entropy(
            y, target, label_smoothing=self.label_smoothing, reduction=self.reduction
        )


@implements("A20")
class MeanSquaredError(Loss):
    """½·Σ(y - t)² a sample (S3): the ½ makes dy = y - t."""

    target = "one_hot"

    def __call__(self, ops: Ops, y: Array, target: Array) -> tuple[Array, Array]:
        return ops.mean_squared_error(y, target, reduction=self.reduction)


LOSSES: dict[str, type[Loss]] = {
    "softmax_cross_entropy": SoftmaxCrossEntropy,
    "mean_squared_error": MeanSquaredError,
}
