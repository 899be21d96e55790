"""Training a config into a run folder, from its start or from a checkpoint."""

from functools import partial
from pathlib import Path

from rich.console import Console

from gpucnn.build.objects import (
    Data,
    build_loss,
    build_model,
    build_optimizer,
    build_schedule,
    check_model,
    count_parameters,
    load_data,
    resolve_device,
)
from gpucnn.build.resident import sources
from gpucnn.build.resume import Resumed, check_data, open_checkpoint
from gpucnn.config import Config, dump_config
from gpucnn.errors import CheckpointError, ConfigError, NonFiniteError
from gpucnn.layers import skip_input_gradient
from gpucnn.ops import autotune, get_ops
from gpucnn.profiling.nvtx import NvtxRanges, nvtx_ranges
from gpucnn.profiling.observe import Probe
from gpucnn.profiling.sampling import Sampler
from gpucnn.training.callbacks import Callback, CheckpointWriter, EarlyStopping, MetricsLog
from gpucnn.training.checkpoint import load_weights, read_checkpoint
from gpucnn.training.curves import draw_curves
from gpucnn.training.display import display
from gpucnn.training.environment import environment, versions
from gpucnn.training.evaluation import Evaluation, evaluate
from gpucnn.training.interruption import Interrupted, Interruption
from gpucnn.training.run_folder import RunFolder
from gpucnn.training.summary import Summary, print_summary
from gpucnn.training.trainer import Settings, Trainer


def train(
    config: Config,
    *,
    resume: str | Path | None = None,
    console: Console | None = None,
    profile_every: int | None = None,
    nvtx: bool = False,
) -> Summary:
    """Train as the config says and return how it ended; all files are in `config.output`.

    `resume` is a run folder (its last checkpoint) or a checkpoint file: training goes on from
    there, bit for bit as if it had never stopped. It goes on in that folder only if
    `config.output` names it. `profile_every` N adds the times of every N-th step, by layer and
    method, to metrics.jsonl (event "profile"); `nvtx` marks every step's layers and kernels for a
    profiler outside, on `cuda`. SIGINT or SIGTERM end the run with a checkpoint and stop_reason
    "interrupted". Raises a GpucnnError, before anything is written, for whatever does not fit, and
    NonFiniteError, after the summary is written, at a NaN or Inf.
    """
    console = console or Console()
    device, line = resolve_device(config.device)
    ops = get_ops(device)
    _say(console, line)
    if nvtx and profile_every is not None:
        raise ConfigError(
            "--nvtx and --profile-every cannot be given together: the profiler outside would time"
            " the sampling too; choose one"
        )
    ranges = nvtx_ranges(ops) if nvtx else None
    if config.train.autotune:
        _say(console, autotune(ops))
    config = config.model_copy(update={"device": device})
    run, text = RunFolder(config.output), dump_config(config)
    resumed = open_checkpoint(config, resume) if resume is not None else None
    if resumed is None or not resumed.in_place(run):
        run.check_free()
    model = build_model(config, ops)
    skip_input_gradient(model)
    data = load_data(config)
    check_model(model, data.train.dataset.image_shape, data.classes)
    interruption = Interruption()
    loss, say = build_loss(config), partial(_say, console)
    batches = sources(config.data.resident, data, model, loss, ops, say=say)
    trainer = Trainer(
        model,
        loss,
        build_optimizer(config),
        build_schedule(config),
        batches.train,
        ops,
        _settings(config),
        validation=batches.validation,
        callbacks=_callbacks(config, text, run, data, console, profile_every, ranges),
        check=interruption.check,
        say=say,
    )
    if resumed is not None:
        _restore(trainer, resumed, data)
        _say(console, f"resuming {resumed.source} at iteration {trainer.progress.iteration:,}")
    _prepare(run, text, resumed)
    test, weights = None, "last weights"
    with interruption:
        try:
            reason = trainer.fit()
            if reason != "interrupted" and batches.test is not None:
                best = trainer.progress.best
                weights = f"best weights, epoch {best.epoch}" if best else weights
                source = run.best if best else run.last
                load_weights(model.state(), read_checkpoint(source), ops)
                test = evaluate(
                    model, loss, batches.test, ops,
                    check=interruption.check, arena=trainer.arena,
                )  # fmt: skip
        except Interrupted:
            reason = "interrupted"
        except NonFiniteError:
            _finish(run, trainer, device, "non_finite", None)
            raise
    summary = _finish(run, trainer, device, reason, test)
    print_summary(console, summary, run.path, weights)
    if reason == "interrupted":
        _say(console, f"interrupted: go on with --resume {run.path}")
    if run.curves.exists():
        _say(console, f"curves: {run.curves}")
    else:
        _say(console, 'no curves.png: it needs matplotlib, pip install "gpucnn[plot]"')
    return summary


def _settings(config: Config) -> Settings:
    t = config.train
    return Settings(
        epochs=t.epochs,
        max_iterations=t.max_iterations,
        epsilon=t.epsilon,
        clip_norm=t.clip_norm,
        ema=t.ema,
        log_every=t.log_every,
        cuda_graph=t.cuda_graph,
    )


def _callbacks(
    config: Config,
    text: str,
    run: RunFolder,
    data: Data,
    console: Console,
    profile_every: int | None,
    ranges: NvtxRanges | None,
) -> list[Callback]:
    metrics = MetricsLog(run.metrics)
    callbacks: list[Callback] = [metrics, display(console)]
    if profile_every is not None:
        callbacks.insert(0, Sampler(metrics, profile_every))
    if ranges is not None:
        callbacks.insert(0, Probe(ranges))
    stopping = config.train.early_stopping
    if stopping is not None:
        callbacks.append(EarlyStopping(stopping.patience, stopping.min_delta))
    writer = CheckpointWriter(run, config=text, data=data.to_json(), versions=versions())
    return [*callbacks, writer]


def _restore(trainer: Trainer, resumed: Resumed, data: Data) -> None:
    check_data(resumed.checkpoint, data, resumed.source)
    try:
        trainer.restore(resumed.checkpoint)
    except CheckpointError as error:
        raise CheckpointError(f"{resumed.source}: {error}") from error


def _prepare(run: RunFolder, text: str, resumed: Resumed | None) -> None:
    """The folder as it is before the first step."""
    run.create()
    run.write(run.config, text.encode())
    run.write_json(run.environment, environment())
    if resumed is not None:
        resumed.bring_over(run)
        # It told how the run ended before.
        run.summary.unlink(missing_ok=True)


def _finish(
    run: RunFolder, trainer: Trainer, device: str, reason: str, test: Evaluation | None
) -> Summary:
    """Write summary.json and, where matplotlib is there, curves.png."""
    progress = trainer.progress
    summary = Summary(
        test_accuracy=test.accuracy if test is not None else None,
        test_loss=test.loss if test is not None else None,
        stop_reason=reason,
        epochs=progress.epoch,
        iterations=progress.iteration,
        seconds=trainer.clock.seconds,
        images_per_second=trainer.images_per_second,
        device=device,
        parameters=count_parameters(trainer.model),
    )
    run.write_json(run.summary, summary.to_json())
    draw_curves(run.metrics, run.curves)
    return summary


def _say(console: Console, line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)
