"""Checkpoint files: what they hold, how they are written, and what damage does to them."""

import hashlib
import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load, save

from gpucnn.errors import CheckpointError
from gpucnn.ops.base import Ops
from gpucnn.training.checkpoint import (
    FORMAT,
    Checkpoint,
    check_tensors,
    decode_checkpoint,
    encode_checkpoint,
    load_weights,
    read_checkpoint,
    write_checkpoint,
)
from gpucnn.training.files import write_atomically


def example() -> Checkpoint:
    rng = np.random.default_rng(0)
    return Checkpoint(
        tensors={
            "model.0.weight": rng.normal(size=(2, 1, 3, 3)).astype(np.float32),
            "model.0.bias": np.zeros(2, np.float32),
            "model.1.count": np.array(3, np.int64),
            "optimizer.velocity": rng.normal(size=(64,)),
            "optimizer.empty": np.zeros((0,), np.float32),
        },
        config="seed: 0\n",
        counters={"epoch": 2, "loss": 0.1 + 0.2, "best": None},
        data={"classes": ["zero", "öne"]},
        versions={"gpucnn": "0"},
        times={"seconds": 1.5},
    )


def same(a: Checkpoint, b: Checkpoint) -> bool:
    rest = ("config", "counters", "data", "versions", "times")
    return (
        all(getattr(a, name) == getattr(b, name) for name in rest)
        and set(a.tensors) == set(b.tensors)
        and all(
            t.dtype == b.tensors[k].dtype
            and t.shape == b.tensors[k].shape
            and t.tobytes() == b.tensors[k].tobytes()
            for k, t in a.tensors.items()
        )
    )


DATA = encode_checkpoint(example())


def test_reads_back_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    write_checkpoint(path, DATA)
    assert same(read_checkpoint(path), example())
    assert os.listdir(tmp_path) == ["last.safetensors"]


def test_a_strided_tensor_is_saved_by_its_values() -> None:
    square = np.arange(9.0).reshape(3, 3)
    checkpoint = Checkpoint({"model.w": square.T}, "", {}, {}, {}, {})
    read = decode_checkpoint(encode_checkpoint(checkpoint))
    np.testing.assert_array_equal(read.tensors["model.w"], square.T)


def test_any_safetensors_reader_sees_the_tensors() -> None:
    assert set(load(DATA)) == set(example().tensors)


def test_nan_in_the_counters_is_not_written() -> None:
    broken = Checkpoint({}, "", {"loss": float("nan")}, {}, {}, {})
    with pytest.raises(ValueError):
        encode_checkpoint(broken)


@given(st.integers(0, len(DATA) - 1), st.integers(1, 255))
def test_a_changed_byte_is_found(place: int, change: int) -> None:
    damaged = bytearray(DATA)
    damaged[place] ^= change
    try:
        read = decode_checkpoint(bytes(damaged))
    except CheckpointError:
        return
    # White space between the header's values means nothing.
    assert same(read, example())


@given(st.integers(0, len(DATA) - 1))
def test_a_truncated_file_is_found(length: int) -> None:
    with pytest.raises(CheckpointError):
        decode_checkpoint(DATA[:length])


@given(st.binary(max_size=200))
def test_other_bytes_are_no_checkpoint(data: bytes) -> None:
    with pytest.raises(CheckpointError):
        decode_checkpoint(data)


@given(st.binary(max_size=120))
def test_other_headers_are_no_checkpoint(header: bytes) -> None:
    with pytest.raises(CheckpointError):
        decode_checkpoint(len(header).to_bytes(8, "little") + header)


def crafted(content: str) -> bytes:
    """A file of the right format and checksum with any content."""
    digest = hashlib.sha256(content.encode()).hexdigest()
    return save({}, {"format": FORMAT, "content": content, "sha256": digest})


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "3",
        "null",
        "{}",
        '{"config": ""}',
        "[" * 100_000,
        json.dumps({"config": 1, "counters": {}, "data": {}, "versions": {}, "times": {}}),
        json.dumps({"config": "", "counters": [], "data": {}, "versions": {}, "times": {}}),
        json.dumps({"config": "", "counters": {}, "data": {}, "versions": {}, "times": 0}),
        json.dumps({k: {} for k in ("config", "counters", "data", "versions", "times", "more")}),
        json.dumps({k: {} for k in ("tensors", "config", "counters", "data", "versions", "times")}),
    ],
)
def test_content_of_another_kind_is_refused(content: str) -> None:
    with pytest.raises(CheckpointError, match="metadata"):
        decode_checkpoint(crafted(content))


def test_a_file_of_another_kind_is_named(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(save({"a": np.zeros(2)}, {"format": "np"}))
    with pytest.raises(CheckpointError, match=r"weights\.safetensors.*format is 'np'"):
        read_checkpoint(path)
    path.write_bytes(save({"a": np.zeros(2)}))
    with pytest.raises(CheckpointError, match="format is None"):
        read_checkpoint(path)


def test_a_pickle_is_not_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (os.mkdir, (str(tmp_path / "bomb"),))

    path = tmp_path / "last.safetensors"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        read_checkpoint(path)
    assert not (tmp_path / "bomb").exists()


def test_a_missing_file_or_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nowhere.*No such file"):
        read_checkpoint(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="directory"):
        read_checkpoint(tmp_path)


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"cannot write checkpoint.*no/last"):
        write_checkpoint(tmp_path / "no" / "last.safetensors", DATA)


def test_a_failed_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.safetensors"
    write_checkpoint(path, DATA)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match="No space left"):
        write_checkpoint(path, b"new")
    assert path.read_bytes() == DATA
    assert os.listdir(tmp_path) == ["last.safetensors"]


def test_the_data_is_on_disk_before_the_name_and_the_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[str, int]] = []
    replace, fsync = os.replace, os.fsync

    def noted_fsync(number: int) -> None:
        kind = "folder" if os.path.isdir(f"/proc/self/fd/{number}") else "file"
        calls.append((kind, os.fstat(number).st_size if kind == "file" else 0))
        fsync(number)

    def noted_replace(old: Any, new: Any) -> None:
        calls.append(("replace", 0))
        replace(old, new)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "replace", noted_replace)
    write_atomically(tmp_path / "a", b"12345")
    assert calls == [("file", 5), ("replace", 0), ("folder", 0)]


LIVE = {"model.a": (2, 3), "model.b": (4,)}


def live() -> dict[str, Any]:
    return {name: np.zeros(shape, np.float32) for name, shape in LIVE.items()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("model.b"), r"model\.b is missing"),
        (lambda t: t.update({"model.c": np.zeros(1)}), r"model\.c is unknown"),
        (
            lambda t: t.update({"model.a": np.zeros((3, 2), np.float32)}),
            r"model\.a is float32 \(3, 2\), the model's is float32 \(2, 3\)",
        ),
        (lambda t: t.update({"model.b": np.zeros(4)}), r"model\.b is float64"),
    ],
)
def test_tensors_of_another_model_are_named(change: Any, message: str) -> None:
    tensors = live()
    change(tensors)
    with pytest.raises(CheckpointError, match=message):
        check_tensors(live(), tensors)


def test_many_differences_are_counted() -> None:
    with pytest.raises(CheckpointError, match="and 3 more"):
        check_tensors({}, {str(i): np.zeros(1) for i in range(6)})


def weights(**tensors: Any) -> Checkpoint:
    named = {name.replace("_", "."): np.float32(values) for name, values in tensors.items()}
    return Checkpoint(named, "", {}, {}, {}, {})


def test_evaluation_takes_the_averages_where_there_are_some(ops: Ops) -> None:
    state = {k: ops.zeros((2,), "float32") for k in ("a", "b")}
    load_weights(state, weights(model_a=[1, 2], model_b=[3, 4], ema_a=[5, 6]), ops)
    np.testing.assert_array_equal(ops.to_numpy(state["a"]), [5, 6])
    np.testing.assert_array_equal(ops.to_numpy(state["b"]), [3, 4])


@pytest.mark.parametrize(
    "wrong", [{"ema_c": [1, 2]}, {"ema_a": [1]}, {"model_c": [1, 2]}, {"other_a": [1, 2]}]
)
def test_nothing_is_loaded_where_one_tensor_is_wrong(ops: Ops, wrong: dict[str, Any]) -> None:
    state = {k: ops.zeros((2,), "float32") for k in ("a", "b")}
    with pytest.raises(CheckpointError):
        load_weights(state, weights(model_a=[1, 2], model_b=[3, 4], **wrong), ops)
    assert not any(ops.to_numpy(a).any() for a in state.values())
