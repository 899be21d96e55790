"""Optimizers: one call, and one launch, updates all parameters.

`bind` moves every parameter that is not frozen into one flat array of values and one of gradients.
Each parameter's segment begins at a multiple of 64 elements; the padding between is zero and,
its gradient being zero, stays zero.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from gpucnn.errors import ConfigError, DeviceError, GpucnnError
from gpucnn.implements import implements
from gpucnn.layers.base import Parameter, flag
from gpucnn.ops.base import Array, Ops
from gpucnn.ops.contract.arrays import number
from gpucnn.ops.contract.rates import adam_rates, sgd_rates

ALIGNMENT = 64


class Optimizer(ABC):
    """Base: the arenas. `bind` once, then `step` after each backward pass.

    `lr` is the base learning rate, `iterations` counts the steps done, `values` and `grads` are
    the flat arenas, `lr_scale` is an array like them, or None where every parameter has 1.
    """

    def __init__(self, *, lr: float, weight_decay: float = 0.0):
        self.lr = number("lr", lr, 0, open_high=True)
        self.weight_decay = number("weight_decay", weight_decay, 0, open_high=True)
        self.iterations = 0
        self.parameters: list[Parameter] = []
        self.values: Array = None
        self.grads: Array = None
        self.lr_scale: Array | None = None
        self._state: dict[str, Array] = {}
        self._ops: Ops | None = None

    def bind(self, parameters: Sequence[Parameter], ops: Ops) -> None:
        """Move the parameters that are not frozen into the arenas; begin with a fresh state.

        Raises ConfigError where a parameter stands twice or none is left to train, DeviceError
        where dtypes differ or an array is not of this device. Nothing is moved then.
        """
        trained = _check_parameters(parameters, ops)
        starts, size = [], 0
        for parameter in trained:
            starts.append(size)
            size += -(-parameter.size // ALIGNMENT) * ALIGNMENT
        dtype = trained[0].value.dtype.name
        self.values, self.grads = ops.zeros((size,), dtype), ops.zeros((size,), dtype)
        self.lr_scale = None
        if any(parameter.lr_scale != 1 for parameter in trained):
            self.lr_scale = ops.zeros((size,), dtype)
        for parameter, start in zip(trained, starts, strict=True):
            segment, shape = slice(start, start + parameter.size), parameter.value.shape
            value, grad = (a[segment].reshape(shape) for a in (self.values, self.grads))
            parameter.bind(value, grad, ops.memory)
            if self.lr_scale is not None:
                self.lr_scale[segment] = parameter.lr_scale
        self.parameters, self._ops, self.iterations = trained, ops, 0
        self._state = {name: ops.zeros((size,), dtype) for name in self._state_names()}

    def step(
        self,
        lr: float | Array | None = None,
        *,
        only_if: Array | None = None,
        average: Array | None = None,
        decay: float | Array | None = None,
    ) -> None:
        """Update all bound parameters from their gradients, at `lr` or else the base rate.

        `lr` may be a device array of the next step's `rates`. `only_if`, a 0-d bool array of the
        device, leaves the update out where it is false. `average`, an arena like `values`, takes in
        the new ones in the same pass: average = decay·average + (1 - decay)·values.
        """
        if self._ops is None:
            raise GpucnnError("the optimizer has no parameters: call bind(parameters, ops) first")
        options = {"only_if": only_if, "average": average, "decay": decay}
        self._step(self._ops, self.lr if lr is None else lr, options)
        self.iterations += 1

    def rates(self, lr: float) -> tuple[float, ...]:
        """What the next step takes from its place in the training."""
        return sgd_rates(lr)

    def state(self) -> dict[str, Array]:
        """The flat state arrays by name; to load them, write into them (and set `iterations`)."""
        return dict(self._state)

    @abstractmethod
    def _state_names(self) -> tuple[str, ...]: ...

    @abstractmethod
    def _step(self, ops: Ops, lr: float | Array, options: dict[str, Any]) -> None: ...


@implements("A22")
class SGD(Optimizer):
    """Stochastic gradient descent, with momentum (S0 §6, S3; as torch.optim.SGD, dampening 0)."""

    def __init__(
        self, *, lr: float, momentum: float = 0.0, nesterov: bool = False, weight_decay: float = 0.0
    ):
        super().__init__(lr=lr, weight_decay=weight_decay)
        self.momentum = number("momentum", momentum, 0, 1, open_high=True)
        self.nesterov = flag("nesterov", nesterov)
        if self.nesterov and not self.momentum:
            raise ConfigError("nesterov needs a momentum above 0, got momentum 0")

    def _state_names(self) -> tuple[str, ...]:
        return ("velocity",) if self.momentum else ()

    def _step(self, ops: Ops, lr: float | Array, options: dict[str, Any]) -> None:
        ops.sgd_update(
            self.values,
            self.grads,
            self._state.get("velocity"),
            lr=lr,
            momentum=self.momentum,
            nesterov=self.nesterov,
            weight_decay=self.weight_decay,
            lr_scale=self.lr_scale,
            **options,
        )


class Adam(Optimizer):
    """Adam (Kingma & Ba, 2015; as torch.optim.Adam): weight decay is added to the gradient."""

    decoupled: ClassVar[bool] = False

    def __init__(
        self,
        *,
        lr: float,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        super().__init__(lr=lr, weight_decay=weight_decay)
        self.beta1 = number("beta1", beta1, 0, 1, open_high=True)
        self.beta2 = number("beta2", beta2, 0, 1, open_high=True)
        self.eps = number("eps", eps, 0, open_high=True)

    def rates(self, lr: float) -> tuple[float, ...]:
        return adam_rates(lr, self.iterations + 1, self.beta1, self.beta2)

    def _state_names(self) -> tuple[str, ...]:
        return ("first", "second")

    def _step(self, ops: Ops, lr: float | Array, options: dict[str, Any]) -> None:
        ops.adam_update(
            self.values,
            self.grads,
            self._state["first"],
            self._state["second"],
            lr=lr,
            step=self.iterations + 1,
            beta1=self.beta1,
            beta2=self.beta2,
            eps=self.eps,
            weight_decay=self.weight_decay,
            decoupled=self.decoupled,
            lr_scale=self.lr_scale,
            **options,
        )


class AdamW(Adam):
    """Adam whose weight decay acts on the values, not the gradient (Loshchilov & Hutter, 2019)."""

    decoupled = True

    def __init__(
        self,
        *,
        lr: float,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ):
        super().__init__(lr=lr, beta1=beta1, beta2=beta2, eps=eps, weight_decay=weight_decay)


class RMSprop(Optimizer):
    """RMSprop, not centred (Hinton's lecture 6e; as torch.optim.RMSprop)."""

    def __init__(
        self,
        *,
        lr: float,
        alpha: float = 0.99,
        eps: float = 1e-8,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
    ):
        super().__init__(lr=lr, weight_decay=weight_decay)
        self.alpha = number("alpha", alpha, 0, 1)
        self.eps = number("eps", eps, 0, open_high=True)
        self.momentum = number("momentum", momentum, 0, 1, open_high=True)

    def _state_names(self) -> tuple[str, ...]:
        return ("second", "velocity") if self.momentum else ("second",)

    def _step(self, ops: Ops, lr: float | Array, options: dict[str, Any]) -> None:
        ops.rmsprop_update(
            self.values,
            self.grads,
            self._state["second"],
            self._state.get("velocity"),
            lr=lr,
            alpha=self.alpha,
            eps=self.eps,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            lr_scale=self.lr_scale,
            **options,
        )


OPTIMIZERS: dict[str, type[Optimizer]] = {
    "sgd": SGD,
    "adam": Adam,
    "adamw": AdamW,
    "rmsprop": RMSprop,
}


def _check_parameters(parameters: Sequence[Parameter], ops: Ops) -> list[Parameter]:
    """The parameters that are not frozen, if they may share an arena."""
    if len({id(parameter) for parameter in parameters}) < len(parameters):
        names = [parameter.name for parameter in parameters]
        raise ConfigError(f"a parameter stands twice among those to train: {', '.join(names)}")
    trained = [parameter for parameter in parameters if not parameter.frozen]
    if not trained:
        frozen = f"all {len(parameters)} are frozen" if parameters else "the model has none"
        raise ConfigError(f"there are no parameters to train: {frozen}")
    for parameter in trained:
        if not ops.is_array(parameter.value):
            raise ops.not_an_array(parameter.name, parameter.value)
        if parameter.value.dtype != trained[0].value.dtype:
            raise DeviceError(
                f"all parameters must have one dtype, got {trained[0].value.dtype.name} and"
                f" {parameter.value.dtype.name} ({parameter.name}): build all layers with one"
            )
    return trained
