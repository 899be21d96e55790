"""benchmarks/training_steps.py, on an emulated GPU and by made-up times."""

import json
from itertools import count
from pathlib import Path
from typing import Any

import pytest

import gpucnn
from gpucnn.build.objects import load_data
from tests.benchmarks.processes import run
from tests.script_modules import load_script


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a short run on the emulated GPU leaves."""
    folder = tmp_path_factory.mktemp("results")
    done = run(
        "training_steps", folder, "digits_lenet:2", "--device", "cuda", "--against", "none",
        "--rounds", "2", "--steps", "5", "--record",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (file,) = folder.iterdir()
    return {"file": file.name, "printed": done.stdout, **json.loads(file.read_text())}


def test_steps_on_a_gpu_are_timed_eagerly_and_as_graphs(recorded: dict[str, Any]) -> None:
    (row,) = recorded["training_steps"]["figures"]["rows"]
    assert (row["config"], row["batch"]) == ("digits_lenet", 2)
    for name in ("gpucnn_eager", "gpucnn_graph"):
        low, high = row[f"{name}_quartiles_ms"]
        assert 0 < low <= row[f"{name}_ms"] <= high
        assert name in recorded["printed"]
    # All of the two rounds; the one before them planned the arena.
    assert row["graph_replays"] >= 2 * 5
    assert row["peak_mib"] > 0


def test_the_file_is_the_gpus_with_its_versions(recorded: dict[str, Any]) -> None:
    machine = recorded["training_steps"]["machine"]
    assert recorded["file"].startswith("emulated-gpu-20")
    assert machine["gpu"] == "Emulated GPU"
    assert {"cupy", "cuda_driver", "commit", "numpy", "torch"} <= set(machine)


def test_the_readme_shows_the_row(recorded: dict[str, Any]) -> None:
    script = load_script("update_tables")
    entry = {**recorded["training_steps"], "file": recorded["file"]}
    alone = "\n".join(script.gpu_steps_table({"Emulated GPU": {"training_steps": entry}}))
    assert "| Emulated GPU, digits_lenet, batch 2 |" in alone
    assert alone.endswith(f"(benchmarks/results/{recorded['file']}).")
    (row,) = entry["figures"]["rows"]
    row |= {"gpucnn_eager_ms": 0.5, "gpucnn_graph_ms": 0.25, "torch_eager_fp32_ratio": 3.0}
    row |= {"torch_graph_tf32_ratio": 0.5}
    beside = "\n".join(script.gpu_steps_table({"G": {"training_steps": entry}}))
    assert "batch 2 | 0.500 | 0.250 | 0.750 (3.00) |  |  | 0.125 (0.50) |" in beside


def test_the_newest_file_of_each_gpu_counts(tmp_path: Path) -> None:
    script = load_script("update_tables")
    script.RESULTS = tmp_path
    for gpu, day, figures in (("b", "03", 1), ("a", "02", 2), ("a", "01", 3)):
        entry = {"machine": {"gpu": gpu}, "figures": figures}
        content = {"finished": True, "training_steps": entry, "sections": {}}
        (tmp_path / f"{gpu}-2026-01-{day}.json").write_text(json.dumps(content))
    entry = {"machine": {}, "figures": 4}
    (tmp_path / "cpu-2026-01-04.json").write_text(json.dumps({"training_steps": entry}))
    found = {gpu: r["training_steps"]["figures"] for gpu, r in script.gpu_figures().items()}
    assert found == {"a": 2, "b": 1}
    assert script.figures()["training_steps"]["figures"] == 4


def test_the_emulator_is_refused(tmp_path: Path) -> None:
    done = run("training_steps", tmp_path, "--device", "emulator")
    assert done.returncode == 2
    assert "the emulator" in done.stderr
    assert "Traceback" not in done.stderr


def test_variants_take_turns_after_one_round_each() -> None:
    from training_steps import measure

    clock, turns = count(1), []

    def of(name: str, scale: float) -> Any:
        def once() -> float:
            turns.append(name)
            return scale * next(clock)

        return once

    row = measure({"a": of("a", 1e-3), "b": of("b", 1e-2)}, 3)
    assert "".join(turns) == "abababab"
    assert row["a_ms"] == pytest.approx(5)  # of 3, 5, 7
    assert row["b_ms"] == pytest.approx(60)  # of 40, 60, 80
    assert row["a_quartiles_ms"] == pytest.approx([3, 7])


def test_a_ratio_is_to_the_faster_layout_and_our_graph() -> None:
    from training_steps import ratios

    row = {"gpucnn_eager_ms": 9.0, "gpucnn_graph_ms": 2.0}
    assert ratios(row) == {}
    row |= {"torch_eager_fp32_ms": 7.0, "torch_eager_fp32_channels_last_ms": 6.0}
    row |= {"torch_graph_tf32_ms": 1.0, "torch_graph_tf32_channels_last_ms": 3.0}
    assert ratios(row) == {"torch_eager_fp32_ratio": 3.0, "torch_graph_tf32_ratio": 0.5}
    assert ratios({"gpucnn_ms": 4.0, "torch_ms": 2.0}) == {"ratio": 0.5}


def test_a_round_trains_an_epoch_and_the_next_goes_on() -> None:
    from training_steps import Gpucnn, synthetic

    config, ops = synthetic("digits_lenet", 4, 3), gpucnn.get_ops("cpu")
    runs = Gpucnn(config, ops, load_data(config), 2, graph=False)
    for done in (3, 6, 9):
        assert runs.round() > 0
        assert runs.trainer.progress.iteration == done
