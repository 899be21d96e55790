"""Training steps as CUDA graphs: captured once a shape of batch, then launched whole."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from gpucnn.errors import CaptureError, ConfigError
from gpucnn.runtime.arena import Arena
from gpucnn.runtime.launch import Graph, Launcher
from gpucnn.training.feed import Feed, Places
from gpucnn.training.step import Moment, Outcome, Step, in_arrays

GRAPHS = 4
"""Shapes of batches whose graphs are kept: an epoch has two, full batches and a last one."""

Key = tuple[Any, ...]


@dataclass
class _Captured:
    """A graph, and the places that it reads a batch and its moment from."""

    places: Places
    feed: Feed
    moment: Moment
    graph: Graph | None = None
    version: int = -1
    """The arena's, of the plans that the graph's addresses are from."""


class Launched(NamedTuple):
    """A step that the device has been given."""

    outcome: Callable[[], Outcome]
    """What the host must know of it; waits for the device."""
    as_graph: bool
    """Whether it was launched whole, so that the host can be ahead of it; else the outcome is to be
    read before the next step."""


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
        if self._launcher is not None and step.measure_change:
            self._refuse("train.epsilon compares the weights before and after each step")

    @property
    def captures(self) -> bool:
        """Whether steps become graphs, as far as is known."""
        return self._launcher is not None

    def begin(self) -> None:
        """Before the first step of a run."""
        self._step.begin()

    def run(self, feed: Feed, moment: Moment) -> Launched:
        """The step on a batch; `moment` in numbers."""
        optimizer = self._step.optimizer
        done = optimizer.iterations + 1
        replayed = self._replay(feed, moment)
        if not replayed:
            self._run(feed, moment)
        # A graph's step leaves the host's counters alone, capturing it does not.
        optimizer.iterations = done
        return Launched(self._step.outcome_later() if replayed else self._step.outcome, replayed)

    def _run(self, feed: Feed, moment: Moment) -> None:
        arrays = tuple(self._ops.asarray(a) for a in feed.arrays)
        with self._arena.step(feed.key("training")):
            self._work(Feed(arrays, feed.make), moment)
        if self._arena.stable:
            self._settled[_key(feed)] = self._arena.version

    def _work(self, feed: Feed, moment: Moment) -> None:
        """The whole step, from a feed of the device's arrays."""
        x, target = feed.make(*feed.arrays)
        self._step.run(x, target, moment)

    def _replay(self, feed: Feed, moment: Moment) -> bool:
        """Do the step as a graph, where there is one or can be."""
        if self._launcher is None or self._watched():
            return False
        captured = self._graph(self._launcher, feed, moment)
        if captured is None or captured.graph is None:
            return False
        captured.places.write((*feed.arrays, *in_arrays(moment, self._step.optimizer)))
        captured.graph.launch()
        self.replays += 1
        return True

    def _graph(self, launcher: Launcher, feed: Feed, moment: Moment) -> _Captured | None:
        """What is captured for batches like this, and still holds; or is now."""
        key, arena = _key(feed), self._arena
        captured = self._captured.pop(key, None)
        if captured is None:
            captured = self._placed(feed, moment)
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
            with arena.step(feed.key("training")):
                graph = launcher.capture(lambda: self._work(captured.feed, captured.moment))
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

    def _placed(self, feed: Feed, moment: Moment) -> _Captured:
        places = Places(self._ops, (*feed.arrays, *in_arrays(moment, self._step.optimizer)))
        count = len(feed.arrays)
        arrays = places.arrays
        return _Captured(places, Feed(arrays[:count], feed.make), Moment(*arrays[count:]))

    def _watched(self) -> bool:
        """Whether methods of the model are replaced on it: they run in an eager step alone."""
        return "forward" in vars(self._step.model)

    def _refuse(self, reason: str) -> None:
        if self._mode is True:
            raise ConfigError(f"train.cuda_graph is true, but {reason}: use auto or false")
        self._say(f"no CUDA graph: {reason}")
        self._launcher = None
        self._captured.clear()


def _key(feed: Feed) -> Key:
    return feed.make, feed.key("training")
