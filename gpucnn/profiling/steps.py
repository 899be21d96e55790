"""Some training steps with observers, and no others."""

from gpucnn.profiling.observe import Probe
from gpucnn.profiling.run import PROFILED
from gpucnn.profiling.spans import Observer
from gpucnn.training.trainer import Trainer


class _Steps(Probe):
    """Observes `steps` steps after `warmup` others, then ends the run."""

    def __init__(self, warmup: int, steps: int, observers: tuple[Observer, ...]):
        super().__init__()
        self._left = {"warmup": warmup, "steps": steps}
        self._who = observers

    def on_start(self, trainer: Trainer) -> None:
        super().on_start(trainer)
        if not self._left["warmup"]:
            self.start(*self._who)

    def on_step(self, trainer: Trainer) -> None:
        super().on_step(trainer)
        phase = "warmup" if self._left["warmup"] else "steps"
        self._left[phase] -= 1
        if self._left[phase]:
            return
        if phase == "warmup":
            self.start(*self._who)
        else:
            trainer.request_stop(PROFILED)


def run_steps(trainer: Trainer, warmup: int, steps: int, *observers: Observer) -> None:
    """Train `warmup` steps, then `steps` that `observers` are told of, and stop."""
    probe = _Steps(warmup, steps, observers)
    trainer.callbacks.insert(0, probe)
    try:
        trainer.fit()
    finally:
        trainer.callbacks.remove(probe)
