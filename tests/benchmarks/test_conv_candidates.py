"""benchmarks/conv_candidates.py on an emulated GPU: every plan of the same bits is timed."""

import json
from pathlib import Path

from gpucnn.ops.kernels.conv_plan import candidates, plan
from gpucnn.ops.shapes import Conv2dShape
from tests.benchmarks.processes import run

TABLE = "convolutions: {tiny: [2, 8, 6, 6, 8, 3, 3, 1, 1, 1, 4]}"
OPERATIONS = ["conv2d_forward", "conv2d_backward_input", "conv2d_backward_weight"]


def test_every_plan_is_timed_and_recorded(tmp_path: Path) -> None:
    shapes, results = tmp_path / "shapes.yaml", tmp_path / "results"
    shapes.write_text(TABLE)
    done = run("conv_candidates", results, "tiny", "--shapes", str(shapes), "--record")
    assert done.returncode == 0, done.stderr
    (file,) = results.iterdir()
    rows = json.loads(file.read_text())["conv_candidates"]["figures"]["rows"]
    assert [(row["shape"], row["operation"]) for row in rows] == [("tiny", o) for o in OPERATIONS]
    shape = Conv2dShape.of((2, 8, 6, 6), (8, 2, 3, 3), padding=1, groups=4)
    assert [len(row["us"]) for row in rows] == [2, 1, 2]
    for row in rows:
        first = plan(row["operation"], shape, "float32")
        assert len(row["us"]) == len(set(candidates(first, "float32")))
        assert row["estimate"] in row["us"]
        assert min(row["us"].values()) > 0
        assert f"| tiny | {row['operation']} | {row['estimate']} |" in done.stdout


def test_an_unknown_shape_is_refused(tmp_path: Path) -> None:
    done = run("conv_candidates", tmp_path, "none")
    assert done.returncode == 2
    assert "no shape is named none: mn1, " in done.stderr
