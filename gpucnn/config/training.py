"""The keys of losses, optimizers and schedules, and of the `train` section."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema

from gpucnn.config.messages import spell
from gpucnn.config.types import (
    Bool,
    BoolOrAuto,
    Choice,
    Expects,
    Fraction,
    NonNegative,
    OneOf,
    Options,
    Positive,
    PositiveInt,
    Rate,
    Spec,
    refuse,
)

Loss = Annotated[Spec, Choice("a loss", lambda: LOSSES)]
Optimizer = Annotated[Spec, Choice("an optimizer", lambda: OPTIMIZERS)]
Schedule = Annotated[Spec, Choice("a schedule", lambda: SCHEDULES)]
Reduction = Annotated[str, OneOf("mean", "sum")]


class SoftmaxCrossEntropy(Options):
    """Cross entropy of softmax(outputs) with the labels."""

    label_smoothing: Rate = 0.0
    reduction: Reduction = "mean"


class MeanSquaredError(Options):
    """Half the squared distance to the one-hot label."""

    reduction: Reduction = "mean"


class Sgd(Options):
    """Stochastic gradient descent."""

    lr: NonNegative
    momentum: Rate = 0.0
    nesterov: Bool = False
    weight_decay: NonNegative = 0.0

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> "Sgd":
        if self.nesterov and self.momentum == 0:
            raise refuse("expected momentum > 0 with nesterov, got momentum 0", at=("nesterov",))
        return self


class Adam(Options):
    """Adam; weight_decay is added to the gradient."""

    lr: NonNegative
    beta1: Rate = 0.9
    beta2: Rate = 0.999
    eps: Positive = 1e-8
    weight_decay: NonNegative = 0.0


class AdamW(Options):
    """Adam with decoupled weight decay."""

    lr: NonNegative
    beta1: Rate = 0.9
    beta2: Rate = 0.999
    eps: Positive = 1e-8
    weight_decay: NonNegative = 0.01


class RMSprop(Options):
    """RMSprop."""

    lr: NonNegative
    alpha: Rate = 0.99
    eps: Positive = 1e-8
    momentum: Rate = 0.0
    weight_decay: NonNegative = 0.0


class ScheduleOptions(Options):
    """Keys of any schedule."""

    warmup_epochs: NonNegative = 0.0
    """Epochs over which the learning rate rises from 0 to its base."""


class Constant(ScheduleOptions):
    """The base learning rate throughout."""


class Step(ScheduleOptions):
    """Times gamma every step_epochs."""

    step_epochs: PositiveInt
    gamma: Positive = 0.1


class MultiStep(ScheduleOptions):
    """Times gamma at each milestone."""

    milestones: Annotated[
        list[PositiveInt],
        Field(min_length=1),
        Expects("a list of epochs, integers >= 1"),
    ]
    gamma: Positive = 0.1

    @model_validator(mode="after")
    def _increasing(self) -> "MultiStep":
        if sorted(set(self.milestones)) != self.milestones:
            raise refuse(f"expected increasing epochs, got {self.milestones}", at=("milestones",))
        return self


class Exponential(ScheduleOptions):
    """Times gamma every epoch."""

    gamma: Positive


class Polynomial(ScheduleOptions):
    """From the base to final_lr as (1 - progress)^power."""

    power: Positive = 1.0
    final_lr: NonNegative = 0.0


class Cosine(ScheduleOptions):
    """From the base to final_lr along half a cosine."""

    final_lr: NonNegative = 0.0


class OneCycle(ScheduleOptions):
    """Up from start_factor to the base learning rate, then down to final_factor."""

    peak_fraction: Fraction = 0.3
    start_factor: Positive = 1 / 25
    final_factor: Positive = 1e-4


LOSSES: dict[str, type[Options]] = {
    "softmax_cross_entropy": SoftmaxCrossEntropy,
    "mean_squared_error": MeanSquaredError,
}
OPTIMIZERS: dict[str, type[Options]] = {
    "sgd": Sgd,
    "adam": Adam,
    "adamw": AdamW,
    "rmsprop": RMSprop,
}
SCHEDULES: dict[str, type[Options]] = {
    "constant": Constant,
    "step": Step,
    "multistep": MultiStep,
    "exponential": Exponential,
    "polynomial": Polynomial,
    "cosine": Cosine,
    "one_cycle": OneCycle,
}


class EarlyStopping(Options):
    """Stop when the validation loss has not improved by min_delta for `patience` epochs."""

    patience: PositiveInt
    min_delta: NonNegative = 0.0


class _IntIsPatience:
    """Annotation: a bare integer is the patience."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"anyOf": [{"type": "integer", "minimum": 1}, handler(schema)]}


def _early_stopping(value: Any) -> Any:
    if isinstance(value, dict):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return {"patience": value}
    raise refuse(
        "expected null, a number of epochs >= 1 or {patience: ..., min_delta: ...},"
        f" got {spell(value)}"
    )


class TrainSection(Options):
    """How long to train, and what happens besides the updates."""

    epochs: PositiveInt = 10
    max_iterations: Annotated[PositiveInt | None, Expects("an integer >= 1 or null")] = None
    """Stop after this many updates."""
    epsilon: Annotated[Positive | None, Expects("a number > 0 or null")] = None
    """Stop when no parameter changed by as much as this in an update."""
    early_stopping: (
        Annotated[EarlyStopping, BeforeValidator(_early_stopping), _IntIsPatience()] | None
    ) = None
    """Stop when validation no longer improves: a patience in epochs, or its keys."""
    clip_norm: Annotated[Positive | None, Expects("a number > 0 or null")] = None
    """Scale the gradient down to this global L2 norm."""
    ema: Annotated[Fraction | None, Expects("a decay between 0 and 1, or null")] = None
    """Decay of an exponential moving average of the parameters, which then is evaluated."""
    autotune: Bool = False
    """On cuda, measure the convolutions' plans of the same bits once, and keep the fastest."""
    cuda_graph: BoolOrAuto = "auto"
    """Launch whole steps as CUDA graphs, to the same bits; auto: where device and run allow it."""
    log_every: PositiveInt = 50
    """Updates between two lines of metrics."""
