"""A config's sections as objects: device, model, data, loss, optimizer, schedule."""

from dataclasses import dataclass
from math import prod
from typing import Any

from gpucnn.config import Config, Spec
from gpucnn.data import (
    TRANSFORMS,
    Dataset,
    Loader,
    Normalization,
    Transform,
    load_dataset,
    split_validation,
)
from gpucnn.errors import ConfigError, DeviceError
from gpucnn.layers import LAYERS, Layer, Sequential, fuse, set_rounding
from gpucnn.losses import LOSSES, Loss
from gpucnn.ops import Ops, get_ops
from gpucnn.optimizers import OPTIMIZERS, Optimizer
from gpucnn.schedules import SCHEDULES, Schedule


def resolve_device(device: str) -> tuple[str, str]:
    """The device that a config's `device` means, and a line that says why.

    "auto" takes cuda where it is to be had, else cpu; every other name means itself and may
    turn out to be missing (get_ops's DeviceError).
    """
    if device != "auto":
        return device, f"device {device}"
    try:
        get_ops("cuda")
    except DeviceError as error:
        return "cpu", f"device cpu (auto: {error})"
    return "cuda", "device cuda (auto: a CUDA device is there)"


def build_model(config: Config, ops: Ops) -> Sequential:
    """The config's network, built for its input shape, its weights drawn from its seed."""
    model = Sequential(layers=_built(config.model.layers))
    set_rounding(model, config.model.rounding)
    if config.model.fuse:
        fuse(model)
    model.build(tuple(config.model.input), ops, config.seed)
    return model


def build_loss(config: Config) -> Loss:
    """The config's loss."""
    return LOSSES[config.loss.kind](**config.loss.options)


def build_optimizer(config: Config) -> Optimizer:
    """The config's optimizer, not yet bound to parameters."""
    return OPTIMIZERS[config.optimizer.kind](**config.optimizer.options)


def build_schedule(config: Config) -> Schedule:
    """The config's learning rate schedule."""
    return SCHEDULES[config.schedule.kind](**config.schedule.options)


def build_augment(config: Config) -> list[Transform]:
    """The config's augmentations, in their order."""
    return [TRANSFORMS[spec.kind](**spec.options) for spec in config.data.augment]


def count_parameters(model: Layer) -> int:
    """Numbers in the model's trainable tensors, frozen ones included."""
    return sum(prod(p.value.shape) for p in model.parameters())


@dataclass(frozen=True)
class Data:
    """A config's data as batches, and what a prediction needs to know of it."""

    train: Loader
    validation: Loader | None
    test: Loader | None
    normalization: Normalization | None
    classes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """What a checkpoint notes; floats are written so that they read back exactly."""
        n = self.normalization
        return {
            "classes": list(self.classes),
            "normalization": n and {"mean": list(n.mean), "std": list(n.std)},
            "training_images": len(self.train.dataset),
        }


def load_data(config: Config) -> Data:
    """Load the config's data set and cut it into batches.

    The normalization is measured on the training images without the validation ones.
    """
    section = config.data
    splits = load_dataset(
        section.name, root=section.root, download=section.download, **section.options
    )
    train, validation = split_validation(splits.train, section.validation, config.seed)
    if section.normalize is True:
        normalization: Normalization | None = Normalization.of(train)
    elif section.normalize is False:
        normalization = None
    else:
        normalization = Normalization(tuple(section.normalize.mean), tuple(section.normalize.std))

    def fixed(dataset: Dataset | None) -> Loader | None:
        if dataset is None:
            return None
        return evaluation_loader(config, dataset, normalization)

    return Data(
        train=Loader(
            train,
            batch_size=section.batch_size,
            normalization=normalization,
            augment=build_augment(config),
            shuffle=True,
            drop_last=section.drop_last,
            seed=config.seed,
        ),
        validation=fixed(validation),
        test=fixed(splits.test),
        normalization=normalization,
        classes=train.classes,
    )


def evaluation_loader(
    config: Config, dataset: Dataset, normalization: Normalization | None
) -> Loader:
    """All images of a data set in its own order, unchanged but for the normalization."""
    return Loader(
        dataset,
        batch_size=config.data.batch_size,
        normalization=normalization,
        shuffle=False,
        seed=config.seed,
    )


def check_model(
    model: Sequential, image_shape: tuple[int, int, int], classes: tuple[str, ...]
) -> None:
    """ConfigError unless the model takes the data's images and gives one output a class."""
    if model.input_shape != image_shape:
        raise ConfigError(
            f"model.input is {list(model.input_shape)}, but the data's images are"
            f" {list(image_shape)} (C, H, W): set model.input to that"
        )
    if model.output_shape != (len(classes),):
        raise ConfigError(
            f"the model's outputs have shape {model.output_shape}, but the data has"
            f" {len(classes)} classes: end model.layers with flatten and linear:"
            f" {{units: {len(classes)}}}, or with another layer of {len(classes)} outputs"
        )


def _built(value: Any) -> Any:
    """Specs as layers, in lists and in lists of lists; anything else as it is."""
    if isinstance(value, Spec):
        return LAYERS[value.kind](**{key: _built(item) for key, item in value.options.items()})
    if isinstance(value, list):
        return [_built(item) for item in value]
    return value
