"""Watching a Trainer from outside: layers, operations, kernels and batches tell of themselves.

While it is observed, a method is replaced on the object itself, never on its class, and put back
afterwards; an object that is not observed runs its own code and nothing else.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any

from gpucnn.layers.base import Layer
from gpucnn.ops.base import Ops
from gpucnn.profiling.hooks import Hooks
from gpucnn.profiling.sizes import shaped
from gpucnn.profiling.spans import Call, Launch, Observer
from gpucnn.profiling.work import METHODS, SET_GRAD
from gpucnn.training.callbacks import Callback
from gpucnn.training.feed import Batch, Batches, FedBatch
from gpucnn.training.trainer import Trainer

_MISSING = object()


class Probe(Callback):
    """A callback through which a Trainer is observed, for as long as anybody wants to.

    It must be the first of the callbacks: a step is from the request for its batch to this one's
    `on_step`. `observers` watch from the start; `start` and `stop` change who does, and are to be
    called between steps.
    """

    def __init__(self, *observers: Observer):
        self.hooks = Hooks()
        self._observers = observers
        self._stack = ExitStack()
        self._trainer: Trainer | None = None

    def on_start(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self._batches = trainer.batches
        trainer.batches = _ObservedBatches(trainer, self.hooks)
        if self._observers:
            self.start(*self._observers)

    def on_step(self, trainer: Trainer) -> None:
        self.hooks.end_step()

    def on_stop(self, trainer: Trainer, reason: str) -> None:
        # Open still if an error ended the run inside of a step.
        self.hooks.end_step()
        self.stop()
        trainer.batches = self._batches

    def start(self, *observers: Observer) -> None:
        """Tell these of every step from the next on."""
        self.stop()
        assert self._trainer is not None, "a Probe observes from the Trainer's start on"
        self.hooks.observers = observers
        _attach(self._trainer.model, self._trainer.ops, self.hooks, self._stack)

    def stop(self) -> None:
        """Observe nothing; every object is as it was."""
        self.hooks.observers = ()
        self._stack.close()


@contextmanager
def observe(trainer: Trainer, *observers: Observer) -> Iterator[None]:
    """Tell `observers` of every training step of a `trainer.fit()` inside; no trace is left."""
    probe = Probe(*observers)
    trainer.callbacks.insert(0, probe)
    try:
        yield
    finally:
        trainer.callbacks.remove(probe)


class _ObservedBatches:
    """Batches that open a step when the next of them is asked for."""

    def __init__(self, trainer: Trainer, hooks: Hooks):
        self._trainer, self._hooks = trainer, hooks
        self._batches: Batches = trainer.batches

    def __len__(self) -> int:
        return len(self._batches)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch | FedBatch]:
        batches = self._batches.epoch(epoch, start)
        try:
            for _ in range(start, len(self._batches)):
                yield self._next(batches)
            yield from batches
        finally:
            close = getattr(batches, "close", None)
            if close is not None:
                close()

    def _next(self, batches: Iterator[Batch | FedBatch]) -> Batch | FedBatch:
        self._hooks.begin_step(self._trainer.progress.iteration)
        if not self._hooks.in_step:
            return next(batches)
        with self._hooks.frame("data", "next batch", phase="data"):
            return next(batches)


def _attach(model: Layer, ops: Ops, hooks: Hooks, stack: ExitStack) -> None:
    for layer in model.walk():
        for phase in ("forward", "backward"):
            stack.enter_context(_replaced(layer, phase, _layer_pass(hooks, layer, phase)))
    for parameter in model.parameters():
        stack.enter_context(_replaced(parameter, SET_GRAD, _method(hooks, SET_GRAD)))
    for name in METHODS:
        stack.enter_context(_replaced(ops, name, _method(hooks, name)))
    launcher = getattr(ops, "launcher", None)
    if launcher is not None:
        stack.enter_context(_replaced(launcher, "launch", _launch(hooks)))


Wrapper = Callable[[Callable[..., Any]], Callable[..., Any]]


@contextmanager
def _replaced(owner: Any, name: str, wrapper: Wrapper) -> Iterator[None]:
    own = vars(owner).get(name, _MISSING)
    setattr(owner, name, wrapper(getattr(owner, name)))
    try:
        yield
    finally:
        if own is _MISSING:
            delattr(owner, name)
        else:
            setattr(owner, name, own)


def _layer_pass(hooks: Hooks, layer: Layer, phase: str) -> Wrapper:
    def wrapper(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def observed(*args: Any, **options: Any) -> Any:
            # Outside of a training step it is an evaluation.
            if not hooks.in_step:
                return original(*args, **options)
            with hooks.frame("layer", layer.name, layer=layer.path or "model", phase=phase):
                return original(*args, **options)

        return observed

    return wrapper


def _method(hooks: Hooks, name: str) -> Wrapper:
    def wrapper(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def observed(*args: Any, **options: Any) -> Any:
            # A method that a method calls is part of it.
            if not hooks.in_step or hooks.innermost.kind == "method":
                return original(*args, **options)
            with hooks.frame("method", name) as frame:
                result = original(*args, **options)
                given = {key: shaped(value) for key, value in options.items()}
                frame.call = Call(shaped(args), given, shaped(result))
                return result

        return observed

    return wrapper


def _launch(hooks: Hooks) -> Wrapper:
    def wrapper(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def observed(
            kernel: Any, grid: Any, block: Any, args: Any, *, shared_bytes: int = 0
        ) -> Any:
            if not hooks.in_step:
                return original(kernel, grid, block, args, shared_bytes=shared_bytes)
            launch = Launch(kernel, grid, block, shared_bytes)
            with hooks.frame("kernel", kernel.symbol, launch=launch):
                return original(kernel, grid, block, args, shared_bytes=shared_bytes)

        return observed

    return wrapper
