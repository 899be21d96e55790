"""The frames that are open in an observed step, and who is told of them."""

from collections.abc import Iterator
from contextlib import contextmanager

from gpucnn.profiling.spans import Frame, Launch, Observer


class Hooks:
    """The frames that are open, and who is told of them."""

    def __init__(self) -> None:
        self.observers: tuple[Observer, ...] = ()
        self._open: list[Frame] = []
        self._phase = "data"

    @property
    def in_step(self) -> bool:
        return bool(self._open)

    @property
    def innermost(self) -> Frame:
        return self._open[-1]

    def begin_step(self, step: int) -> None:
        """Open a step, where anybody observes; one that never ended is forgotten."""
        self._open, self._phase = [], "data"
        if self.observers:
            self._enter(Frame("step", "step", step=step))

    def end_step(self) -> None:
        while self._open:
            self._exit(self._open[-1])

    @contextmanager
    def frame(
        self,
        kind: str,
        name: str,
        *,
        layer: str | None = None,
        phase: str | None = None,
        launch: Launch | None = None,
    ) -> Iterator[Frame]:
        """Inside a step only. What is not given is as it is around it."""
        around = self._open[-1]
        new = Frame(
            kind,
            name,
            around.layer if layer is None else layer,
            phase or (around.phase if around.layer else self._phase),
            around.step,
            launch=launch,
        )
        self._enter(new)
        try:
            yield new
        finally:
            # Whatever failed inside has told of itself; the frames below are still open.
            self._exit(new)
            if kind == "layer" and not around.layer:
                self._phase = {"forward": "loss", "backward": "update"}[new.phase]

    def _enter(self, frame: Frame) -> None:
        self._open.append(frame)
        for observer in self.observers:
            observer.enter(frame)

    def _exit(self, frame: Frame) -> None:
        for observer in reversed(self.observers):
            observer.exit(frame)
        self._open.pop()
