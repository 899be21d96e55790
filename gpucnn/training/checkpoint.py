"""Checkpoints: one safetensors file each, never pickle, written whole or not at all.

The tensors hold only what decides the future: `model.*` (parameters and buffers), `optimizer.*`
and, with weight averaging, `ema.*`. Everything else is JSON in the file's metadata. A digest over
both finds damage that the format cannot see.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from gpucnn.errors import CheckpointError
from gpucnn.ops.base import Array, Ops
from gpucnn.training.files import write_atomically

FORMAT = "gpucnn-checkpoint-1"

Tensors = dict[str, "np.ndarray[Any, Any]"]


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds. All but `tensors` must be plain JSON values."""

    tensors: Tensors
    config: str
    """The resolved config as YAML."""
    counters: dict[str, Any]
    """The position in the run, the best so far, the callbacks' counters."""
    data: dict[str, Any]
    """What the weights mean: class names, and the normalization of the images."""
    versions: dict[str, str]
    times: dict[str, float]


def encode_checkpoint(checkpoint: Checkpoint) -> bytes:
    """The checkpoint as the bytes of its file."""
    content = json.dumps(
        {
            "config": checkpoint.config,
            "counters": checkpoint.counters,
            "data": checkpoint.data,
            "versions": checkpoint.versions,
            "times": checkpoint.times,
        },
        allow_nan=False,
    )
    # np.asarray keeps a 0-d array 0-d, which np.ascontiguousarray does not.
    tensors = {name: np.asarray(a, order="C") for name, a in checkpoint.tensors.items()}
    metadata = {"format": FORMAT, "content": content, "sha256": _digest(tensors, content)}
    return save(tensors, metadata)


def write_checkpoint(path: Path, data: bytes) -> None:
    """Write `encode_checkpoint`'s bytes; CheckpointError where the disk refuses."""
    try:
        write_atomically(path, data)
    except OSError as error:
        raise CheckpointError(
            f"cannot write checkpoint {path}: {error.strerror or error}; the one before it is"
            " untouched"
        ) from error


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint; CheckpointError where it is missing, damaged or something else."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise CheckpointError(
            f"cannot read checkpoint {path}: {error.strerror or error}"
        ) from error
    try:
        return decode_checkpoint(data)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error


def decode_checkpoint(data: bytes) -> Checkpoint:
    """`encode_checkpoint`'s inverse; CheckpointError for any other bytes."""
    try:
        tensors = load(data)
        # safetensors has checked the header by now: 8 bytes of length, then JSON.
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        metadata = header.get("__metadata__", {})
    except (SafetensorError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise CheckpointError(
            f"not a safetensors file, or a truncated or damaged one ({error}); use another"
            " checkpoint of the run"
        ) from error
    if metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"a safetensors file, but not a checkpoint of this version of gpucnn: its format is"
            f" {metadata.get('format')!r}, expected {FORMAT!r}"
        )
    content = metadata.get("content", "")
    if metadata.get("sha256") != _digest(tensors, content):
        raise CheckpointError(
            "damaged: its content does not match its checksum; use another checkpoint of the run"
        )
    return _parse(tensors, content)


def check_tensors(live: dict[str, Array], tensors: Tensors) -> None:
    """CheckpointError unless both have the same names, shapes and dtypes."""
    problems = [f"{name} is missing" for name in sorted(set(live) - set(tensors))]
    problems += [f"{name} is unknown" for name in sorted(set(tensors) - set(live))]
    for name in sorted(set(live) & set(tensors)):
        want, got = live[name], tensors[name]
        if tuple(want.shape) != got.shape or want.dtype.name != got.dtype.name:
            problems.append(
                f"{name} is {got.dtype.name} {got.shape}, the model's is {want.dtype.name}"
                f" {tuple(want.shape)}"
            )
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise CheckpointError(
            f"the checkpoint is of another model: {'; '.join(problems[:3])}{more}; use the config"
            " it was trained with"
        )


def write_tensors(live: dict[str, Array], tensors: Tensors, ops: Ops) -> None:
    """Copy the tensors of the same names into the arrays of `live`, in the order of `live`."""
    for name, array in live.items():
        # A copy, because memory that came from a file is read-only.
        array[...] = ops.asarray(tensors[name].copy())


def load_weights(state: dict[str, Array], checkpoint: Checkpoint, ops: Ops) -> None:
    """Write into a model's `state()` what evaluation uses: averaged weights where there are some.

    CheckpointError, with nothing written, where the checkpoint is of another model.
    """
    tensors = {n: a for n, a in checkpoint.tensors.items() if not n.startswith("optimizer.")}
    live = {f"model.{key}": array for key, array in state.items()}
    live |= {f"ema.{key}": a for key, a in state.items() if f"ema.{key}" in tensors}
    check_tensors(live, tensors)
    write_tensors(live, tensors, ops)


def _digest(tensors: Tensors, content: str) -> str:
    digest = hashlib.sha256(content.encode())
    for name in sorted(tensors):
        a = tensors[name]
        digest.update(f"\n{name} {a.dtype.str} {a.shape}\n".encode())
        digest.update(a.tobytes())
    return digest.hexdigest()


def _parse(tensors: Tensors, content: str) -> Checkpoint:
    try:
        values = json.loads(content)
        checkpoint = Checkpoint(tensors=tensors, **values)
    except (ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(f"its metadata is not a checkpoint's: {error}") from error
    for name, kind in (
        ("config", str),
        ("counters", dict),
        ("data", dict),
        ("versions", dict),
        ("times", dict),
    ):
        if not isinstance(getattr(checkpoint, name), kind):
            raise CheckpointError(f"its metadata is not a checkpoint's: {name} is not {kind}")
    return checkpoint
