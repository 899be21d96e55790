"""Profiling the training steps of a config."""

from dataclasses import replace
from pathlib import Path

from gpucnn.build.objects import (
    Data,
    build_loss,
    build_model,
    build_optimizer,
    build_schedule,
    check_model,
    load_data,
    resolve_device,
)
from gpucnn.build.resident import sources
from gpucnn.config import Config
from gpucnn.errors import ConfigError, DataError
from gpucnn.layers import Sequential, skip_input_gradient
from gpucnn.ops import Ops, autotune, get_ops
from gpucnn.ops.kernel_ops import KernelOps
from gpucnn.profiling.emulated import predict_training
from gpucnn.profiling.gpus import DEFAULT, find_gpu
from gpucnn.profiling.nvtx import nvtx_ranges
from gpucnn.profiling.profile import Profile
from gpucnn.profiling.run import Plan, profile_training
from gpucnn.profiling.spans import Span
from gpucnn.profiling.steps import run_steps
from gpucnn.runtime.emulator import EmulatorLauncher
from gpucnn.training.environment import environment
from gpucnn.training.trainer import Settings, Trainer


def profile(
    config: Config,
    *,
    steps: int | None = None,
    synthetic: bool = False,
    name: str = "model",
    gpu: str | None = None,
    command: str | None = None,
) -> tuple[Profile, list[Span]]:
    """Train some steps as the config says and return where their time went.

    On the emulator every access of the kernels is checked and counted, and the times are those
    predicted for `gpu`. `synthetic` takes made-up images of the model's input size instead of the
    config's data. Nothing is downloaded or written, but for the ceilings of a device that is new.
    Raises a GpucnnError for whatever does not fit.
    """
    device, choice = resolve_device(config.device)
    plan = Plan.of(device, steps)
    if gpu is not None and device != "emulator":
        raise ConfigError(
            f"--gpu {gpu} asks for a prediction, which the emulator makes: give --device emulator"
            f" with it, or leave it out to measure on {device}"
        )
    target = find_gpu(DEFAULT if gpu is None else gpu)
    ops = get_ops(device) if device != "emulator" else KernelOps(EmulatorLauncher(checked=True))
    trainer, batch_size = _trainer(config, ops, plan, synthetic)
    known = environment()
    meta = {
        "config": name,
        "batch_size": batch_size,
        "data": "synthetic" if synthetic else config.data.name,
        "choice": choice if config.device == "auto" else None,
        "command": command,
        "gpucnn": known["gpucnn"],
        "commit": known["commit"],
    }
    if device == "emulator":
        return predict_training(trainer, target, plan.steps, meta)
    return profile_training(trainer, plan, meta)


def run_with_nvtx(config: Config, *, steps: int | None = None, synthetic: bool = False) -> int:
    """Train the steps of a profile with NVTX ranges and without a clock; how many have ranges.

    For a profiler outside, such as nsys or ncu: the steps before them have none, so that it can
    leave them out.
    """
    device, _ = resolve_device(config.device)
    plan = Plan.of(device, steps)
    ops = get_ops(device)
    ranges = nvtx_ranges(ops)
    trainer, _ = _trainer(config, ops, plan, synthetic)
    run_steps(trainer, plan.warmup, plan.steps, ranges)
    return plan.steps


def _trainer(config: Config, ops: Ops, plan: Plan, synthetic: bool) -> tuple[Trainer, int]:
    """A trainer with the plan's steps before it, and the size of their batches."""
    if config.train.autotune:
        autotune(ops)
    model = build_model(config, ops)
    skip_input_gradient(model)
    data = _load(_synthetic(config, model) if synthetic else config)
    check_model(model, data.train.dataset.image_shape, data.classes)
    loss, training = build_loss(config), replace(data, validation=None, test=None)
    trainer = Trainer(
        model,
        loss,
        build_optimizer(config),
        build_schedule(config),
        sources(config.data.resident, training, model, loss, ops).train,
        ops,
        Settings(
            epochs=-(-plan.total // len(data.train)),
            epsilon=config.train.epsilon,
            clip_norm=config.train.clip_norm,
            ema=config.train.ema,
            log_every=plan.total + 1,
        ),
    )
    return trainer, min(data.train.batch_size, len(data.train.dataset))


def profile_folder(config: Config, output: str | None) -> Path:
    """Where a profile goes: `output`, else the folder "profile" of the config's own output."""
    return Path(output) if output is not None else Path(config.output) / "profile"


def _load(config: Config) -> Data:
    """The data, every batch of the same size; never downloaded."""
    try:
        data = load_data(config.model_copy(update={"data": replace(config.data, download=False)}))
    except DataError as error:
        raise DataError(
            f"{error}; or profile on made-up images of the same size with --synthetic"
        ) from error
    data.train.drop_last = len(data.train.dataset) >= data.train.batch_size
    return data


def _synthetic(config: Config, model: Sequential) -> Config:
    """The config with made-up images: the model's input size, a class for each output."""
    if len(model.output_shape) != 1 or model.output_shape[0] < 2:
        raise ConfigError(
            f"--synthetic needs a model with two or more outputs, one a class; this one's have"
            f" shape {model.output_shape}: end model.layers with flatten and linear"
        )
    classes, batch_size = model.output_shape[0], config.data.batch_size
    if batch_size == "all":
        raise ConfigError(
            "--synthetic cannot know how many images data.batch_size 'all' are: give the number,"
            " as in --set data.batch_size=64"
        )
    options = {
        "samples": max(classes, 2 * batch_size),
        "classes": classes,
        "image": list(model.input_shape),
    }
    data = replace(
        config.data, name="synthetic", root=None, download=False, validation=0.0, options=options
    )
    return config.model_copy(update={"data": data})
