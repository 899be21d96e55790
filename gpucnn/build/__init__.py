"""From a config to objects, and from objects to what the commands do."""

from gpucnn.build.inference import (
    EvaluationResult,
    LoadedRun,
    Prediction,
    evaluate,
    load_run,
    predict,
)
from gpucnn.build.objects import Data, build_model, check_model, load_data, resolve_device
from gpucnn.build.run import train
from gpucnn.training.summary import Summary

__all__ = [
    "Data",
    "EvaluationResult",
    "LoadedRun",
    "Prediction",
    "Summary",
    "build_model",
    "check_model",
    "evaluate",
    "load_data",
    "load_run",
    "predict",
    "resolve_device",
    "train",
]
