"""Training: the loop, what watches it from outside, and what it leaves on the disk."""

from gpucnn.training.callbacks import Callback, CheckpointWriter, EarlyStopping, MetricsLog
from gpucnn.training.checkpoint import Checkpoint, load_weights, read_checkpoint
from gpucnn.training.evaluation import Evaluation, evaluate
from gpucnn.training.run_folder import RunFolder
from gpucnn.training.trainer import Settings, Trainer

__all__ = [
    "Callback",
    "Checkpoint",
    "CheckpointWriter",
    "EarlyStopping",
    "Evaluation",
    "MetricsLog",
    "RunFolder",
    "Settings",
    "Trainer",
    "evaluate",
    "load_weights",
    "read_checkpoint",
]
