"""The training loop: steps, epochs, stop reasons, and the state that a checkpoint saves."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gpucnn.errors import CheckpointError, NonFiniteError
from gpucnn.layers.base import Layer
from gpucnn.losses import Loss
from gpucnn.ops.base import Ops
from gpucnn.optimizers import Optimizer
from gpucnn.runtime.arena import Arena
from gpucnn.schedules import Schedule
from gpucnn.training.averaging import WeightAverage
from gpucnn.training.callbacks import Callback, Record
from gpucnn.training.checkpoint import Checkpoint, Tensors
from gpucnn.training.diagnosis import batch_name, find_non_finite
from gpucnn.training.evaluation import Evaluation, evaluate, summed
from gpucnn.training.feed import Batch, Batches, FedBatch, feed_of
from gpucnn.training.graph import Steps
from gpucnn.training.interruption import Interrupted
from gpucnn.training.progress import Clock, Progress
from gpucnn.training.settings import Settings
from gpucnn.training.state import State
from gpucnn.training.step import Moment, Outcome, Step
from gpucnn.training.under_way import UnderWay

__all__ = ["Settings", "Trainer"]


class Trainer:
    """Trains `model`, built for `ops`, on `batches`.

    `validation` decides which epoch is the best. `check` is called wherever the state is whole
    and may raise Interrupted; `say` takes what the user should know. Binds the optimizer to the
    model's parameters.
    """

    def __init__(
        self,
        model: Layer,
        loss: Loss,
        optimizer: Optimizer,
        schedule: Schedule,
        batches: Batches,
        ops: Ops,
        settings: Settings,
        *,
        validation: Batches | None = None,
        callbacks: Sequence[Callback] = (),
        check: Callable[[], None] = lambda: None,
        say: Callable[[str], None] = lambda line: None,
    ):
        self.model, self.loss, self.optimizer, self.schedule = model, loss, optimizer, schedule
        self.batches, self.validation, self.ops, self.settings = batches, validation, ops, settings
        self.callbacks, self._check = list(callbacks), check
        self.progress, self.clock = Progress(), Clock()
        self.arena = Arena(ops)
        """The memory of the steps: of training and of evaluation between them."""
        optimizer.bind(model.parameters(), ops)
        self.average: WeightAverage | None = None
        if settings.ema is not None:
            self.average = WeightAverage(model, optimizer.values, settings.ema)
        self._work = Step(
            model, loss, optimizer, self.average, ops,
            clip_norm=settings.clip_norm, measure_change=settings.epsilon is not None,
        )  # fmt: skip
        self.steps = Steps(self._work, self.arena, mode=settings.cuda_graph, say=say)
        self._under_way = UnderWay(self._take_in)
        self._state = State(model, optimizer, self.average, ops)
        self.total_iterations = settings.epochs * len(batches)
        if settings.max_iterations is not None:
            self.total_iterations = min(self.total_iterations, settings.max_iterations)

    @np.errstate(all="ignore")  # what overflows is found and named; a warning would say less
    def fit(self) -> str:
        """Train until a stop reason comes up and return it.

        Raises NonFiniteError at a NaN or Inf, before the weights take it in.
        """
        reason = "error"
        self.clock.start()
        self.steps.begin()
        self._call("on_start")
        try:
            reason = self._run()
        except Interrupted:
            reason = "interrupted"
        except NonFiniteError:
            reason = "non_finite"
            raise
        finally:
            self._under_way.forget()
            self.clock.lap()
            self._call("on_stop", reason)
        return reason

    def request_stop(self, reason: str) -> None:
        """Stop after this step, or hook, and close the epoch under way; the first reason stands.

        A step that has been launched already is finished.
        """
        self.progress.stop = self.progress.stop or reason

    def snapshot(self) -> tuple[Tensors, dict[str, Any], dict[str, float]]:
        """Tensors, counters and times for a checkpoint; NonFiniteError where a tensor is not."""
        tensors = self._state.read()
        for name, tensor in tensors.items():
            if not np.isfinite(tensor).all():
                raise NonFiniteError(
                    f"{name} is no longer finite after step {self.progress.iteration}: a lower lr"
                    " or train.clip_norm may help; the checkpoint before this one is kept"
                )
        counters = self.progress.to_json()
        counters["callbacks"] = {c.name: c.state() for c in self.callbacks if c.name is not None}
        return tensors, counters, self.clock.to_json()

    def restore(self, checkpoint: Checkpoint) -> None:
        """Go back to where a checkpoint was written.

        CheckpointError, with the model untouched, where it is damaged or of another model.
        """
        counters = dict(checkpoint.counters)
        states = counters.pop("callbacks", None)
        progress, clock = Progress.from_json(counters), Clock.from_json(checkpoint.times)
        named = {c.name: c for c in self.callbacks if c.name is not None}
        if not isinstance(states, dict) or set(states) != set(named):
            raise CheckpointError(f"its callbacks are not this run's: {', '.join(map(str, named))}")
        progress.check_within(epochs=self.settings.epochs, batches=len(self.batches))
        self._state.check(checkpoint.tensors)
        for name, callback in named.items():
            callback.load_state(states[name])
        self._state.write(checkpoint.tensors)
        self.progress, self.clock = progress, clock
        self.optimizer.iterations = progress.iteration

    def _run(self) -> str:
        p = self.progress
        while p.batch > 0 or (p.stop is None and p.epoch < self.settings.epochs):
            if p.stop is None:
                for batch in self.batches.epoch(p.epoch, start=p.batch):
                    self._step(batch)
                    self._check_interruption()
                    if p.stop is not None:
                        break
            self._under_way.finish()
            self._close_epoch()
        return p.stop or "epochs"

    def _step(self, batch: Batch | FedBatch) -> None:
        """Give the device its next step; finish all before it, and it where nobody is ahead."""
        iteration = self.progress.iteration + len(self._under_way)
        decay = None if self.average is None else self.average.decay(iteration + 1)
        moment = Moment(iteration, self._lr(iteration), decay)
        launched = self.steps.run(feed_of(batch, self.loss, self.model), moment)
        self._under_way.add(batch, launched.outcome)
        self._under_way.finish(but=int(launched.as_graph and self._may_go_ahead(iteration + 1)))

    def _may_go_ahead(self, done: int) -> bool:
        """Whether nobody is to see the state after `done` updates before the next one begins."""
        if done % self.settings.log_every == 0 or done == self.settings.max_iterations:
            return False
        return all(c.counts_only or type(c).on_step is Callback.on_step for c in self.callbacks)

    def _check_interruption(self) -> None:
        try:
            self._check()
        except Interrupted:
            self._under_way.finish()
            raise

    def _take_in(self, batch: Batch | FedBatch, outcome: Outcome) -> None:
        """Account for a step that is over; NonFiniteError where it was not finite."""
        p, settings, n = self.progress, self.settings, len(batch.labels)
        loss = summed(self.loss, outcome.loss, n)
        if not outcome.finite:
            raise NonFiniteError(self._non_finite(batch, loss))
        if settings.epsilon is not None and outcome.change < settings.epsilon:
            self.request_stop("epsilon")
        p.count_update(n, loss)
        if p.iteration == settings.max_iterations:
            self.request_stop("max_iterations")
        self.clock.lap(training=True)
        self._call("on_step")
        if p.iteration % settings.log_every == 0:
            rate = p.log_images / self.clock.log
            self._call("on_log", self._record("log", p.log_loss / p.log_images, rate))
            p.log_loss, p.log_images, self.clock.log = 0.0, 0, 0.0

    def _non_finite(self, batch: Batch | FedBatch, loss: float) -> str:
        """What became NaN or Inf, and where, by running the step again up to its update."""
        p = self.progress
        x, target = feed_of(batch, self.loss, self.model).batch(self.ops)
        self._work.gradients(x, target, p.iteration)
        place = find_non_finite(self.model, self.ops, x, train=True)
        return (
            f"training met NaN or Inf at step {p.iteration + 1}, epoch {p.epoch + 1},"
            f" {batch_name(p.batch, batch.indices)}, loss {loss / len(batch.labels):g}: {place};"
            " a lower lr or train.clip_norm may help"
        )

    def _close_epoch(self) -> None:
        evaluation = self._validate()
        p = self.progress
        record = self._record("epoch", p.epoch_loss / p.epoch_images, self.images_per_second)
        p.epoch, p.batch, p.epoch_loss, p.epoch_images = p.epoch + 1, 0, 0.0, 0
        record |= {"validation_loss": None, "validation_accuracy": None, "best": False}
        if evaluation is not None:
            loss, accuracy = evaluation.loss, evaluation.accuracy
            record |= {"validation_loss": loss, "validation_accuracy": accuracy}
            record["best"] = p.note_best(loss, accuracy)
        self._call("on_epoch", record)
        self.clock.lap()

    def _validate(self) -> Evaluation | None:
        if self.validation is None:
            return None
        parts = (self.model, self.loss, self.validation, self.ops)
        if self.average is None:
            return evaluate(*parts, check=self._check, arena=self.arena)
        with self.average.applied():
            return evaluate(*parts, check=self._check, arena=self.arena)

    @property
    def images_per_second(self) -> float:
        """Training images over training time, so far."""
        return self.progress.images / self.clock.training if self.clock.training else 0.0

    def _record(self, event: str, loss: float, rate: float) -> Record:
        p = self.progress
        self.clock.lap()
        return {
            "event": event,
            "epoch": p.epoch + 1,
            "iteration": p.iteration,
            "loss": loss,
            "lr": self._lr(p.iteration - 1),
            "images_per_second": rate,
            "seconds": self.clock.seconds,
        }

    def _lr(self, iteration: int) -> float:
        return self.schedule.lr(
            self.optimizer.lr, iteration, len(self.batches), self.total_iterations
        )

    def _call(self, hook: str, *arguments: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, hook)(self, *arguments)
