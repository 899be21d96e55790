"""Measure a trained network on its data's test set: loss, accuracy, each class, confusions."""

import argparse
from typing import TYPE_CHECKING

from gpucnn.cli.options import add_device, add_run, chosen_device
from gpucnn.cli.tables import show

if TYPE_CHECKING:
    from gpucnn.build import EvaluationResult

WIDEST = 20  # classes whose confusion matrix still fits a screen
LISTED = 20  # confusions that are listed instead


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """RUN and --device."""
    add_run(parser)
    add_device(parser, "the one of the training")


def run(args: argparse.Namespace) -> int:
    """Print the figures and the confusion matrix."""
    device = chosen_device(args)
    from gpucnn.build import evaluate

    result = evaluate(args.run_folder, device)
    images = int(result.confusion.sum())
    wide = len(result.classes) > WIDEST
    title = "" if wide else "; columns: predictions"
    show(
        f"{result.source} on {images:,} test images{title}",
        ("class", "images", "accuracy", *(() if wide else result.classes)),
        [_class_row(result, i, wide) for i in range(len(result.classes))],
    )
    if wide:
        show("most frequent confusions", ("class", "taken for", "images"), _worst(result))
    print(f"test accuracy  {result.accuracy:.2%}")
    print(f"test loss      {result.loss:.4f}")
    return 0


def _class_row(result: "EvaluationResult", i: int, wide: bool) -> list[str]:
    counts = [int(count) for count in result.confusion[i]]
    rate = f"{result.class_accuracy[i]:.2%}" if sum(counts) else "-"
    return [result.classes[i], f"{sum(counts):,}", rate, *(() if wide else map(str, counts))]


def _worst(result: "EvaluationResult") -> list[list[str]]:
    """The largest counts off the diagonal."""
    pairs = sorted(
        (-int(count), label, guess)
        for label, row in enumerate(result.confusion)
        for guess, count in enumerate(row)
        if count and label != guess
    )
    names = result.classes
    return [[names[label], names[guess], str(-count)] for count, label, guess in pairs[:LISTED]]
