"""What a trained network is used for: evaluation on the test set, predictions for files."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gpucnn.build.objects import (
    build_loss,
    build_model,
    check_model,
    evaluation_loader,
    resolve_device,
)
from gpucnn.build.resume import saved_config
from gpucnn.config import Config
from gpucnn.data import Normalization, load_dataset, read_image, scale
from gpucnn.data.npz import check_images, read_arrays
from gpucnn.errors import CheckpointError, ConfigError, DataError
from gpucnn.layers import Layer, Sequential, Softmax
from gpucnn.ops import Ops, get_ops
from gpucnn.training.checkpoint import Checkpoint, load_weights, read_checkpoint
from gpucnn.training.evaluation import evaluate as evaluate_model
from gpucnn.training.run_folder import find_checkpoint
from gpucnn.training.staged import staged


@dataclass(frozen=True)
class LoadedRun:
    """A trained network, ready for evaluation, and what its inputs and outputs mean."""

    config: Config
    model: Sequential
    ops: Ops
    classes: tuple[str, ...]
    normalization: Normalization | None
    source: Path
    """The checkpoint file."""


@dataclass(frozen=True)
class EvaluationResult:
    """confusion[label, prediction] counts the test images; class_accuracy is NaN without any."""

    loss: float
    accuracy: float
    confusion: "np.ndarray[Any, np.dtype[np.int64]]"
    class_accuracy: tuple[float, ...]
    classes: tuple[str, ...]
    source: Path


class Prediction(NamedTuple):
    """The likeliest classes of one image, best first; `item` is its file, or "file.npz[3]"."""

    item: str
    top: list[tuple[str, float]]


def load_run(run: str | Path, device: str | None = None) -> LoadedRun:
    """Build the network of RUN: a run folder (its best checkpoint, else its last) or a checkpoint.

    `device` None means the one that it was trained on. Averaged weights are taken where the run
    averaged them. Raises CheckpointError, DeviceError.
    """
    source = find_checkpoint(run, best=True)
    checkpoint = read_checkpoint(source)
    config = saved_config(checkpoint, source)
    ops = get_ops(resolve_device(device or config.device)[0])
    model = build_model(config, ops)
    try:
        load_weights(model.state(), checkpoint, ops)
        classes, normalization = _meaning(checkpoint, model)
    except CheckpointError as error:
        raise CheckpointError(f"{source}: {error}") from error
    return LoadedRun(config, model, ops, classes, normalization, source)


def evaluate(run: str | Path, device: str | None = None) -> EvaluationResult:
    """Evaluate RUN on the test set of its data; DataError where the data has none."""
    loaded = load_run(run, device)
    section = loaded.config.data
    test = load_dataset(
        section.name, root=section.root, download=section.download, **section.options
    ).test
    if test is None:
        raise DataError(f"data set {section.name} has no test set to evaluate {run} on: add one")
    if test.classes != loaded.classes:
        raise DataError(
            f"the test set's classes {list(test.classes)} are not those that {loaded.source} was"
            f" trained on, {list(loaded.classes)}"
        )
    check_model(loaded.model, test.image_shape, test.classes)
    loader = evaluation_loader(loaded.config, test, loaded.normalization)
    batches = staged(loader, loaded.ops)
    result = evaluate_model(loaded.model, build_loss(loaded.config), batches, loaded.ops)
    right, all_of = result.confusion.diagonal(), result.confusion.sum(axis=1)
    rates = (int(r) / int(n) if n else float("nan") for r, n in zip(right, all_of, strict=True))
    return EvaluationResult(
        result.loss,
        result.accuracy,
        result.confusion,
        tuple(rates),
        loaded.classes,
        loaded.source,
    )


def predict(
    run: str | Path,
    files: Sequence[str | Path],
    *,
    top_k: int = 5,
    device: str | None = None,
    note: Callable[[str], None] = lambda line: None,
) -> list[Prediction]:
    """The `top_k` likeliest classes of each image in `files`, with their probabilities.

    An .npz file holds its images, (N, C, H, W) as for training, in `images` or its only array.
    Any other file is opened as a picture and converted to the model's channels and size, of
    which `note` gets a line. Raises DataError for a file that does not fit, all of them being
    read before the first is predicted.
    """
    if top_k < 1:
        raise ConfigError(f"top_k must be at least 1, got {top_k}")
    loaded = load_run(run, device)
    read = [(str(f), _read(Path(f), loaded.model.input_shape)) for f in files]
    if any(not file.endswith(".npz") for file, _ in read):
        c, h, w = loaded.model.input_shape
        note(f"pictures are converted to {c} channel{'s' * (c > 1)} of {h} x {w}, as trained on")
    predictions = []
    for file, images in read:
        rows = [row for y in _probabilities(loaded, images) for row in y]
        for i, row in enumerate(rows):
            best = np.argsort(-row, kind="stable")[:top_k]
            top = [(loaded.classes[k], float(row[k])) for k in best]
            predictions.append(Prediction(f"{file}[{i}]" if file.endswith(".npz") else file, top))
    return predictions


def _probabilities(loaded: LoadedRun, images: Any) -> Iterator[Any]:
    """Softmax of the model's outputs, a batch at a time; its own where it ends with one."""
    ops, size = loaded.ops, loaded.config.data.batch_size
    if size == "all":
        size = len(images)
    for start in range(0, len(images), size):
        x = scale(images[start : start + size])
        if loaded.normalization is not None:
            x = loaded.normalization.apply(x)
        y = loaded.model.forward(ops.asarray(x), train=False)
        yield ops.to_numpy(y if _ends_with_softmax(loaded.model) else ops.softmax_forward(y))


def _ends_with_softmax(model: Sequential) -> bool:
    last: Layer = model
    while isinstance(last, Sequential) and last.children():
        last = last.children()[-1]
    return isinstance(last, Softmax)


def _read(path: Path, input_shape: tuple[int, ...]) -> Any:
    """A file's images (N, C, H, W) of the model's input shape, uint8 or float32."""
    channels, height, width = input_shape
    if path.suffix != ".npz":
        if channels not in (1, 3):
            raise DataError(
                f"{path}: the model takes {channels} channels, which a picture does not have;"
                " give the images as an .npz file"
            )
        return read_image(path, (height, width), channels)[None]
    arrays = read_arrays(path)
    if "images" not in arrays and len(arrays) != 1:
        raise DataError(f"{path} must have one array, or one named images; it has {list(arrays)}")
    name = "images" if "images" in arrays else next(iter(arrays))
    images = check_images(arrays[name], f"{path}: {name}")
    if images.shape[1:] != input_shape:
        raise DataError(
            f"{path}: {name} holds images of shape {images.shape[1:]}, the model takes"
            f" {input_shape}"
        )
    return images


def _meaning(
    checkpoint: Checkpoint, model: Sequential
) -> tuple[tuple[str, ...], Normalization | None]:
    """The class names and the normalization that a checkpoint notes, checked."""
    classes, saved = checkpoint.data.get("classes"), checkpoint.data.get("normalization")
    if (
        not isinstance(classes, list)
        or not all(isinstance(name, str) for name in classes)
        or model.output_shape != (len(classes),)
    ):
        raise CheckpointError(f"its class names do not fit its model: {classes}")
    if saved is None:
        return tuple(classes), None
    try:
        normalization = Normalization(tuple(saved["mean"]), tuple(saved["std"]))
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"its normalization is damaged: {saved}") from error
    if len(normalization.mean) != model.input_shape[0]:
        raise CheckpointError(f"its normalization does not fit its model: {saved}")
    return tuple(classes), normalization
