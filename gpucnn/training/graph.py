"""Training steps as CUDA graphs: captured once a shape of batch, then launched whole."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gpucnn.errors import CaptureError, ConfigError
from gpucnn.ops.base import Array
from gpucnn.runtime.arena import Arena
from gpucnn.runtime.launch import Graph, Launcher
from gpucnn.training.step import Moment, MomentInMemory, Outcome, Step

GRAPHS = 4
"""Shapes of batches whose graphs are kept: an epoch has two, full batches and a last one."""

Key = tuple[Any, ...]


@dataclass
class _Captured:
    """A graph and the arrays that it reads a batch from."""

    x: Array
    target: Array
    graph: Graph | None = None
    version: int = -1
    """The arena's, of the plans that the graph's addresses are from."""


class Steps:
    """Runs a Step on batches: eagerly, or by a graph where `mode` and device allow, bit for bit.

    A step of a new shape is run eagerly until all its arrays have places in the arena that stay,
    then captured; again, where the arena plans anew. While somebody watches the model's methods,
    steps are eager. `mode` True makes whatever stands against a graph a ConfigError; "auto" tells
    it to `say` and goes on eagerly; False never captures, as `cpu` does not.
    """

    def __init__(
        self,
        step: Step,
        arena: Arena,
        *,
        mode: bool | str = "auto",
        say: Callable[[str], None] = lambda line: None,
    ):
        self._step, self._arena, self._ops = step, arena, step.ops
        self._mode, self._say = mode, say
        self._launcher: Launcher | None = getattr(self._ops, "launcher", None) if mode else None
        self._captured: dict[Key, _Captured] = {}
        self._settled: dict[Key, int] = {}
        self.replays = 0
        """How many steps were launched as a graph."""
        if mode is True and self._launcher is None:
            self._refuse(f"device {self._ops.name!r} has no graphs")
        if self._launcher is not None:
            self._moment = MomentInMemory(self._ops, step.optimizer)
            if step.measure_change:
                self._refuse("train.epsilon compares the weights before and after each step")

    @property
    def captures(self) -> bool:
        """Whether steps become graphs, as far as is known."""
        return self._launcher is not None

    def run(self, images: Any, target: Any, moment: Moment) -> None:
        """The step on a batch of the host; `moment` in numbers."""
        optimizer = self._step.optimizer
        done = optimizer.iterations + 1
        images, target = np.ascontiguousarray(images), np.ascontiguousarray(target)
        if not self._replay(images, target, moment):
            self._run(images, target, moment)
        # A graph's step leaves the host's counters alone, capturing it does not.
        optimizer.iterations = done

    def outcome(self) -> Outcome:
        """What the host must know of the last step; waits for the device."""
        return self._step.outcome()

    def _run(self, images: Any, target: Any, moment: Moment) -> None:
        x, labels = self._ops.asarray(images), self._ops.asarray(target)
        with self._arena.step(_plan(images)):
            self._step.run(x, labels, moment)
        if self._arena.stable:
            self._settled[_key(images, target)] = self._arena.version

    def _replay(self, images: Any, target: Any, moment: Moment) -> bool:
        """Do the step as a graph, where there is one or can be."""
        if self._launcher is None or self._watched():
            return False
        captured = self._graph(self._launcher, images, target)
        if captured is None or captured.graph is None:
            return False
        memory = self._ops.memory
        memory.write(captured.x, images)
        memory.write(captured.target, target)
        self._moment.write(moment)
        captured.graph.launch()
        self.replays += 1
        return True

    def _graph(self, launcher: Launcher, images: Any, target: Any) -> _Captured | None:
        """What is captured for batches like this, and still holds; or is now."""
        key, arena, ops = _key(images, target), self._arena, self._ops
        captured = self._captured.pop(key, None)
        if captured is None:
            x, labels = (ops.zeros(a.shape, a.dtype.name) for a in (images, target))
            captured = _Captured(x, labels)
        self._captured[key] = captured  # the last used is the last to go
        while len(self._captured) > GRAPHS:
            del self._captured[next(iter(self._captured))]
        if captured.version == arena.version:
            return captured
        captured.graph = None
        if self._settled.get(key) != arena.version:
            return None
        iterations = self._step.optimizer.iterations
        try:
            with arena.step(_plan(images)):
                graph = launcher.capture(
                    lambda: self._step.run(captured.x, captured.target, self._moment.arrays)
                )
        except CaptureError as error:
            self._refuse(str(error))
            return None
        finally:
            self._step.optimizer.iterations = iterations
        if not arena.stable:
            self._refuse("somebody holds arrays of an earlier step, whose places are not free")
            return None
        captured.graph, captured.version = graph, arena.version
        return captured

    def _watched(self) -> bool:
        """Whether methods of the model are replaced on it: they run in an eager step alone."""
        return "forward" in vars(self._step.model)

    def _refuse(self, reason: str) -> None:
        if self._mode is True:
            raise ConfigError(f"train.cuda_graph is true, but {reason}: use auto or false")
        self._say(f"no CUDA graph: {reason}")
        self._launcher = None
        self._captured.clear()


def _plan(images: Any) -> Key:
    """What the arena knows the steps on such batches by."""
    return ("training", images.shape)


def _key(images: Any, target: Any) -> Key:
    return images.shape, images.dtype, target.shape, target.dtype
