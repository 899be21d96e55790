"""profile.json reads back as the profile it was; profile.csv has each of its rows."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from gpucnn.errors import ConfigError, DataError
from gpucnn.ops.numpy_ops import NumpyOps
from gpucnn.profiling.aggregate import build_profile
from gpucnn.profiling.files import ProfileFolder, read_profile, to_csv
from gpucnn.profiling.profile import Ceilings, LayerMemory, Profile
from tests.profiling.runs import network, queued, recorded


def profile(*, device: bool = True) -> Profile:
    return build_profile(
        queued() if device else recorded(NumpyOps()),
        {"device": "queue", "device_name": "x", "warmup": 1, "steps": 3, "config": "a.yaml"},
        plain_ms=[1.5, 2.5],
        ceilings=Ceilings(1.0, 2.0, "name", "source"),
        memory=[LayerMemory("model", "forward", 10, 5)],
        layer_names={layer.path or "model": layer.name for layer in network(NumpyOps()).walk()},
        resources=lambda launch: {"registers": 32, "shared_bytes": 0, "occupancy": 0.5},
    )


@pytest.mark.parametrize("device", [True, False])
def test_a_profile_reads_back_as_itself(tmp_path: Path, device: bool) -> None:
    folder, found = ProfileFolder(tmp_path / "a" / "b"), profile(device=device)
    folder.create()
    folder.write(found)
    assert read_profile(folder.path) == found
    assert read_profile(folder.json) == found
    assert found.waits if device else not found.waits


def test_the_csv_has_every_row_and_figure() -> None:
    found = profile()
    lines = list(csv.DictReader(io.StringIO(to_csv(found))))
    assert len(lines) == sum(map(len, (found.layers, found.methods, found.kernels, found.calls)))
    line = next(line for line in lines if line["table"] == "kernels")
    kernel = found.kernels[0]
    assert line["kernel"] == kernel.kernel
    assert float(line["ms"]) == kernel.ms
    assert (line["registers"], line["block"]) == ("32", "64 x 1 x 1")
    method = next(line for line in lines if line["table"] == "methods")
    assert (method["kernel"], method["registers"]) == ("", "")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: v | {"format": 99}, "no profile.json of format 1"),
        (lambda v: [], "no profile.json of format 1"),
        (lambda v: {k: x for k, x in v.items() if k != "gaps"}, "damaged .'gaps'"),
        (lambda v: v | {"layers": [{"layer": "a"}]}, "damaged"),
        (lambda v: v | {"more": 1}, "damaged .'more'"),
    ],
)
def test_a_damaged_profile_is_named(tmp_path: Path, change: Any, words: str) -> None:
    (tmp_path / "profile.json").write_text(json.dumps(change(profile().to_json())))
    with pytest.raises(DataError, match=rf"profile\.json: .*{words}.*gpucnn profile"):
        read_profile(tmp_path)


@pytest.mark.parametrize("text", [None, "{"])
def test_what_cannot_be_read_is_named(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "profile.json").write_text(text)
    with pytest.raises(DataError, match=r"cannot read the profile .*profile\.json"):
        read_profile(tmp_path)


def test_a_profile_is_not_overwritten(tmp_path: Path) -> None:
    folder = ProfileFolder(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    folder.check_free()
    folder.write(profile())
    with pytest.raises(ConfigError, match=r"already holds a profile .*--output"):
        folder.check_free()
