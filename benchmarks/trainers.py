"""A config's network in training, as the benchmarks let it run."""

from collections.abc import Sequence
from typing import Any

from gpucnn.build.objects import Data, build_loss, build_model, build_optimizer, build_schedule
from gpucnn.build.resident import sources
from gpucnn.config import Config
from gpucnn.layers import skip_input_gradient
from gpucnn.ops import Ops
from gpucnn.training.callbacks import Callback
from gpucnn.training.trainer import Settings, Trainer


def trainer(
    config: Config,
    ops: Ops,
    data: Data,
    settings: Settings,
    callbacks: Sequence[Callback] = (),
    *,
    batches: Any = None,
) -> Trainer:
    """A Trainer of a config's network, as `gpucnn train` makes one, on its data or on `batches`."""
    model, loss = build_model(config, ops), build_loss(config)
    skip_input_gradient(model)
    if batches is None:
        batches = sources(config.data.resident, data, model, loss, ops).train
    return Trainer(
        model,
        loss,
        build_optimizer(config),
        build_schedule(config),
        batches,
        ops,
        settings,
        callbacks=callbacks,
    )
