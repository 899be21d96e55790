"""Learning-rate schedules: pure functions of the iteration, so there is no state to save.

With i the iteration from 0, T the total, E the iterations of an epoch, e = ⌊i/E⌋ the epoch, b the
optimizer's rate, w = round(warmup_epochs·E) and t = min((i - w)/(T - w), 1), the rate is

| schedule | rate | equal in PyTorch |
|---|---|---|
| constant | b | |
| step | b·gamma^⌊e/step_epochs⌋ | StepLR |
| multistep | b·gamma^(number of milestones <= e) | MultiStepLR |
| exponential | b·gamma^e | ExponentialLR |
| polynomial | final_lr + (b - final_lr)·(1 - t)^power | PolynomialLR |
| cosine | final_lr + (b - final_lr)·(1 + cos πt)/2 (SGDR, 2017) | CosineAnnealingLR |
| one_cycle | b·start_factor up to b, down to b·final_factor (Smith, 2018) | OneCycleLR |

Warm-up: while i < w the rate is (i + 1)/(w + 1) of what the schedule gives at w, a straight line
that meets it there. Epochs and milestones count from the start of the training, warm-up included.
"""

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from math import cos, pi

from gpucnn.errors import ConfigError
from gpucnn.ops.contract.arrays import number
from gpucnn.ops.shapes import integer


class Schedule(ABC):
    """Base: the warm-up."""

    def __init__(self, *, warmup_epochs: float = 0):
        self.warmup_epochs = number("warmup_epochs", warmup_epochs, 0, open_high=True)

    def lr(
        self, base_lr: float, iteration: int, iterations_per_epoch: int, total_iterations: int
    ) -> float:
        """Return the rate of `iteration` (from 0). Raises ConfigError for counts out of range."""
        i = integer("iteration", iteration, minimum=0)
        epoch = integer("iterations_per_epoch", iterations_per_epoch, minimum=1)
        total = integer("total_iterations", total_iterations, minimum=1)
        warmup = round(self.warmup_epochs * epoch)
        rate = self._rate(base_lr, max(i, warmup) // epoch, max(i - warmup, 0), total - warmup)
        return rate * (i + 1) / (warmup + 1) if i < warmup else rate

    @abstractmethod
    def _rate(self, base: float, epoch: int, done: int, span: int) -> float:
        """The rate in `epoch`, `done` of `span` iterations after the warm-up."""


class Constant(Schedule):
    """The optimizer's rate."""

    def _rate(self, base: float, epoch: int, done: int, span: int) -> float:
        return base


class Step(Schedule):
    """Times `gamma` every `step_epochs` epochs."""

    def __init__(self, *, step_epochs: int, gamma: float = 0.1, warmup_epochs: float = 0):
        super().__init__(warmup_epochs=warmup_epochs)
        self.step_epochs = integer("step_epochs", step_epochs, minimum=1)
        self.gamma = number("gamma", gamma, 0, open_high=True)

    def _rate(self, base: float, epoch: int, done: int, span: int) -> float:
        return base * self.gamma ** (epoch // self.step_epochs)


class Multistep(Schedule):
    """Times `gamma` at each epoch of `milestones`."""

    def __init__(self, *, milestones: Sequence[int], gamma: float = 0.1, warmup_epochs: float = 0):
        super().__init__(warmup_epochs=warmup_epochs)
        if isinstance(milestones, str) or not isinstance(milestones, Sequence) or not milestones:
            raise ConfigError(f"milestones must be a list of epochs, got {milestones!r}")
        self.milestones = [
            integer(f"milestones[{i}]", epoch, minimum=1) for i, epoch in enumerate(milestones)
        ]
        if sorted(set(self.milestones)) != self.milestones:
            raise ConfigError(f"milestones must increase, got {self.milestones}")
        self.gamma = number("gamma", gamma, 0, open_high=True)

    def _rate(self, base: float, epoch: int, done: int, span: int) -> float:
        return base * self.gamma ** bisect_right(self.milestones, epoch)


class Exponential(Schedule):
    """Times `gamma` every epoch."""

    def __init__(self, *, gamma: float, warmup_epochs: float = 0):
        super().__init__(warmup_epochs=warmup_epochs)
        self.gamma = number("gamma", gamma, 0, open_high=True)

    def _rate(self, base: float, epoch: int, done: int, span: int) -> float:
        return base * self.gamma**epoch


class Polynomial(Schedule):
    """Down to `final_lr` along a power of what is left; power 1 is a straight line."""

    def __init__(self, *, power: float = 1.0, final_lr: float = 0.0, warmup_epochs: float = 0):
        super().__init__(warmup_epochs=warmup_epochs)
        self.power = number("power", power, 0, open_high=True)
        self.final_lr = number("final_lr", final_lr, 0, open_high=True)

    def _rate(self, base: float, epoch: int, done: int, span: int) -> float:
        left = float((1 - _progress(done, span)) ** self.power)
        return self.final_lr + (base - self.final_lr) * left


class Cosine(Schedule):
    """Down to `final_lr` along half a cosine."""

    def __init__(self, *, final_lr: float = 0.0, warmup_epochs: float = 0):
        super().__init__(warmup_epochs=warmup_epochs)
        self.final_lr = number("final_lr", final_lr, 0, open_high=True)

    def _rate(self, base: float, epoch: int, done: int, span: int) -> float:
        return _half_cosine(base, self.final_lr, _progress(done, span))


class OneCycle(Schedule):
    """Half a cosine up from b·start_factor, half a cosine down to b·final_factor.

    The peak b is at iteration peak_fraction·T - 1, the end at T - 1, T without the warm-up; as
    torch.optim.lr_scheduler.OneCycleLR with div_factor = 1/start_factor and final_div_factor =
    start_factor/final_factor.
    """

    def __init__(
        self,
        *,
        peak_fraction: float = 0.3,
        start_factor: float = 0.04,
        final_factor: float = 1e-4,
        warmup_epochs: float = 0,
    ):
        super().__init__(warmup_epochs=warmup_epochs)
        self.peak_fraction = number("peak_fraction", peak_fraction, 0, 1)
        self.start_factor = number("start_factor", start_factor, 0, open_high=True)
        self.final_factor = number("final_factor", final_factor, 0, open_high=True)

    def _rate(self, base: float, epoch: int, done: int, span: int) -> float:
        peak = max(self.peak_fraction * span - 1, 0.0)
        if done < peak:
            return _half_cosine(base * self.start_factor, base, done / peak)
        fraction = _progress(done - peak, span - 1 - peak)
        return _half_cosine(base, base * self.final_factor, fraction)


SCHEDULES: dict[str, type[Schedule]] = {
    "constant": Constant,
    "step": Step,
    "multistep": Multistep,
    "exponential": Exponential,
    "polynomial": Polynomial,
    "cosine": Cosine,
    "one_cycle": OneCycle,
}


def _progress(done: float, span: float) -> float:
    """done/span in [0, 1]; 0 where there is nothing to go along."""
    return min(done / span, 1.0) if span > 0 else 0.0


def _half_cosine(start: float, end: float, fraction: float) -> float:
    return end + (start - end) * (1 + cos(pi * fraction)) / 2
