"""A training run that is profiled: warm-up, steps timed as they are, observed steps, memory."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gpucnn.errors import ConfigError
from gpucnn.profiling import devices
from gpucnn.profiling.aggregate import build_profile
from gpucnn.profiling.ceilings import ceilings
from gpucnn.profiling.memory import MemoryObserver, meter_of
from gpucnn.profiling.observe import Probe
from gpucnn.profiling.profile import Ceilings, Profile
from gpucnn.profiling.spans import Recorder, Span
from gpucnn.training.trainer import Trainer

PROFILED = "profiled"
"""The stop reason of such a run."""


@dataclass(frozen=True)
class Plan:
    """How many steps of each kind."""

    warmup: int
    """Not counted: compilation, caches, memory pools."""
    plain: int
    """Timed without being observed, to tell what observing costs."""
    steps: int

    @classmethod
    def of(cls, device: str, steps: int | None = None) -> "Plan":
        """The plan for a device; ConfigError where `steps` is below 1.

        The emulator's times are its own, so it is not worth many steps.
        """
        if steps is not None and steps < 1:
            raise ConfigError(f"--steps must be at least 1, got {steps}")
        if device == "emulator":
            return cls(1, 0, steps or 1)
        return cls(3, 5, steps or 20)

    @property
    def total(self) -> int:
        """With the step that memory is counted in."""
        return self.warmup + self.plain + self.steps + 1


class _Phases(Probe):
    """Starts and stops the observers by the plan, and ends the run."""

    def __init__(self, plan: Plan, recorder: Recorder, memory: Callable[[], MemoryObserver]):
        super().__init__()
        self.plain_ms: list[float] = []
        self.memory: MemoryObserver | None = None
        self._plan, self._recorder, self._make_memory = plan, recorder, memory
        self._done = 0

    def on_start(self, trainer: Trainer) -> None:
        super().on_start(trainer)
        self._next(trainer)

    def on_step(self, trainer: Trainer) -> None:
        super().on_step(trainer)
        now, plan = time.perf_counter_ns(), self._plan
        if plan.warmup <= self._done < plan.warmup + plan.plain:
            self.plain_ms.append((now - self._began) / 1e6)
        self._done += 1
        self._next(trainer)

    def _next(self, trainer: Trainer) -> None:
        plan = self._plan
        observed = self._done - plan.warmup - plan.plain
        if observed == 0:
            self.start(self._recorder)
        elif observed == plan.steps:
            # Inside its block, arrays would not be seen.
            trainer.arena.close()
            self.memory = self._make_memory()
            self.start(self.memory)
        elif observed > plan.steps:
            trainer.request_stop(PROFILED)
        self._began = time.perf_counter_ns()


def profile_training(
    trainer: Trainer,
    plan: Plan,
    meta: Mapping[str, Any],
    *,
    measure_ceilings: Callable[[Any], Ceilings | None] = ceilings,
) -> tuple[Profile, list[Span]]:
    """Run the trainer by the plan: what its steps took, and every span of them.

    The trainer must have `plan.total` steps before it; it stops after these.
    """
    ops = trainer.ops
    best = measure_ceilings(ops)
    recorder = Recorder(device=devices.device_clock(ops))
    phases = _Phases(plan, recorder, lambda: MemoryObserver(meter_of(trainer)))
    trainer.callbacks.insert(0, phases)
    try:
        trainer.fit()
    finally:
        trainer.callbacks.remove(phases)
    assert phases.memory is not None, "the trainer stopped before the plan was done"
    facts = {**describe_run(trainer, plan), **meta}
    names = {layer.path or "model": layer.name for layer in trainer.model.walk()}
    profile = build_profile(
        recorder.spans,
        facts,
        plain_ms=phases.plain_ms,
        ceilings=best,
        memory=phases.memory.rows(),
        layer_names=names,
        resources=lambda launch: devices.resources(ops, launch),
    )
    return profile, recorder.spans


def describe_run(trainer: Trainer, plan: Plan) -> dict[str, Any]:
    """What a profile's meta says of device and plan."""
    return {**devices.describe(trainer.ops), "warmup": plan.warmup, "steps": plan.steps}
