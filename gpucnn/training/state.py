"""The tensors that decide the future of a training, read for a checkpoint and written from one."""

from gpucnn.layers.base import Layer
from gpucnn.ops.base import Array, Ops
from gpucnn.optimizers import Optimizer
from gpucnn.training.averaging import WeightAverage
from gpucnn.training.checkpoint import Tensors, check_tensors, write_tensors


class State:
    """What model, optimizer and average, if there is one, hold on the device."""

    def __init__(
        self, model: Layer, optimizer: Optimizer, average: WeightAverage | None, ops: Ops
    ) -> None:
        self._model, self._optimizer, self._average, self._ops = model, optimizer, average, ops

    def read(self) -> Tensors:
        """Copies on the host, by name; waits for the device."""
        tensors = {k: self._ops.to_numpy(a) for k, a in self._live().items()}
        if self._average is not None:
            with self._average.applied():
                averages = self._average.views
                tensors |= {k: self._ops.to_numpy(a).copy() for k, a in averages.items()}
        return tensors

    def check(self, tensors: Tensors) -> None:
        """CheckpointError where `tensors` are others than these, by name, shape or dtype."""
        check_tensors(self._live() | self._averages(), tensors)

    def write(self, tensors: Tensors) -> None:
        """Overwrite all; what `check` lets pass."""
        if self._average is not None:
            # Written through the model's own weights, which come next.
            write_tensors(self._averages(), tensors, self._ops)
            self._average.capture()
        write_tensors(self._live(), tensors, self._ops)

    def _live(self) -> dict[str, Array]:
        model = {f"model.{key}": a for key, a in self._model.state().items()}
        return model | {f"optimizer.{key}": a for key, a in self._optimizer.state().items()}

    def _averages(self) -> dict[str, Array]:
        return self._average.views if self._average is not None else {}
