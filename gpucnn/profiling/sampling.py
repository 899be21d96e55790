"""The profile of one step in every N of a real training run, as lines of metrics.jsonl."""

from collections.abc import Sequence

from gpucnn.errors import ConfigError
from gpucnn.profiling.devices import device_clock
from gpucnn.profiling.intervals import DATA_WAIT, gaps, leaves
from gpucnn.profiling.observe import Probe
from gpucnn.profiling.spans import Recorder, Span
from gpucnn.training.callbacks import MetricsLog, Record
from gpucnn.training.trainer import Trainer


class Sampler(Probe):
    """Observes every `every`-th step and writes its times to `metrics`.

    Between samples nothing is replaced and nothing is recorded. On a GPU the sampled step ends with
    a synchronisation; no other step does. It must be the first of the callbacks.
    """

    def __init__(self, metrics: MetricsLog, every: int):
        super().__init__()
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            raise ConfigError(f"--profile-every must be an integer of at least 1, got {every!r}")
        self._metrics, self._every = metrics, every
        self._recorder: Recorder | None = None

    def on_start(self, trainer: Trainer) -> None:
        super().on_start(trainer)
        self._prepare(trainer)

    def on_step(self, trainer: Trainer) -> None:
        super().on_step(trainer)
        if self._recorder is not None:
            self.stop()
            self._metrics.on_log(trainer, record(trainer, self._recorder.spans))
            self._recorder = None
        self._prepare(trainer)

    def _prepare(self, trainer: Trainer) -> None:
        """Observe the next step if it is one of those."""
        if (trainer.progress.iteration + 1) % self._every == 0:
            self._recorder = Recorder(device=device_clock(trainer.ops))
            self.start(self._recorder)


def record(trainer: Trainer, spans: Sequence[Span]) -> Record:
    """The line of one step: its times by layer and pass and by method, in milliseconds.

    Sums alone, without the rates of a whole profile: those would take longer than a small step.
    """
    step = range(len(spans))
    layers: dict[tuple[str, str], int] = {}
    methods: dict[str, int] = {}
    for leaf in leaves(spans, step):
        method = spans[leaf.method if leaf.method >= 0 else leaf.place]
        place = leaf.span.layer, leaf.span.phase
        layers[place] = layers.get(place, 0) + leaf.ns
        methods[method.name] = methods.get(method.name, 0) + leaf.ns
    idle = gaps(spans, step)
    whole = spans[0]
    start, end = whole.device or (whole.start_ns, whole.end_ns)
    return {
        "event": "profile",
        "epoch": trainer.progress.epoch + 1,
        "iteration": trainer.progress.iteration,
        "step_ms": (end - start) / 1e6,
        "computing_ms": sum(methods.values()) / 1e6,
        "gap_ms": sum(ns for _, ns in idle) / 1e6,
        "data_wait_ms": sum(ns for (_, _, where), ns in idle if where == DATA_WAIT) / 1e6,
        "layers": [
            {"layer": layer, "pass": phase, "ms": ns / 1e6} for (layer, phase), ns in layers.items()
        ],
        "methods": {name: ns / 1e6 for name, ns in methods.items()},
    }
