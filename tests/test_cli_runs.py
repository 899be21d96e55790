"""check, train, evaluate and predict, from their arguments to the run folder and what is said."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gpucnn import build, data
from gpucnn.cli import main

CONFIG = """\
device: cpu
data: {name: digits, batch_size: 100}
model:
  input: [1, 8, 8]
  layers:
    - conv2d: {filters: 2, kernel_size: 3, padding: 1}
    - relu
    - max_pool2d: {kernel_size: 2}
    - flatten
    - linear: {units: 10}
optimizer: {sgd: {lr: 0.1}}
train: {epochs: 1}
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a config and its run folder, trained once; tests must not change it."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "tiny.yaml").write_text(CONFIG)
    assert main(["train", str(folder / "tiny.yaml"), "--output", str(folder / "run")]) == 0
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory of its own, with a config."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    return tmp_path


def test_check_needs_neither_data_nor_device(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = ["--set", "device=cuda", "--set", "data.name=mnist", "--set", "data.root=nowhere"]
    assert main(["check", "tiny.yaml", *changes]) == 0
    table = capsys.readouterr().out
    # 2·9 + 2 and 10·32 + 10 parameters; 8·8·2·9 and 320 multiply-accumulates.
    for figure in ("conv2d", "2 x 4 x 4", "350 ", "1,472", "linear"):
        assert figure in table
    assert "at the peak of training on cuda," in table
    assert os.listdir(here) == ["tiny.yaml"]


def test_check_foretells_the_memory_of_any_device(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "tiny.yaml", "--device", "cuda:3"]) == 0
    assert "at the peak of training on cuda:3," in capsys.readouterr().out
    assert main(["check", "tiny.yaml", "--device", "gpu"]) == 2
    assert "device must be" in capsys.readouterr().err


def test_train_writes_a_run_folder(trained: Path) -> None:
    names = {p.relative_to(trained / "run").as_posix() for p in (trained / "run").rglob("*")}
    assert {
        "config.yaml",
        "environment.json",
        "metrics.jsonl",
        "summary.json",
        "checkpoints/last.safetensors",
        "checkpoints/best.safetensors",
    } <= names


def test_set_device_and_output_reach_the_run(here: Path) -> None:
    arguments = ["--set", "train.max_iterations=3", "--set", "seed=7", "--device", "cpu"]
    assert main(["train", "tiny.yaml", *arguments, "--output", "elsewhere"]) == 0
    summary = json.loads((here / "elsewhere/summary.json").read_text())
    assert (summary["iterations"], summary["stop_reason"]) == (3, "max_iterations")
    assert "seed: 7" in (here / "elsewhere/config.yaml").read_text()


def test_evaluate_agrees_with_the_run(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    summary = json.loads((trained / "run/summary.json").read_text())
    assert main(["evaluate", str(trained / "run")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2].split() == ["test", "accuracy", f"{summary['test_accuracy']:.2%}"]
    assert lines[-1].split() == ["test", "loss", f"{summary['test_loss']:.4f}"]
    # class, images, accuracy, then the confusions: 360 test images in 10 classes.
    table = [line.split() for line in lines if line.split()[:1] and line.split()[0].isdigit()]
    assert [row[0] for row in table] == [str(i) for i in range(10)]
    counts = np.array([[int(n) for n in row[3:]] for row in table])
    assert counts.shape == (10, 10)
    assert counts.sum() == 360
    assert [int(row[1]) for row in table] == counts.sum(axis=1).tolist()
    for i, row in enumerate(table):
        assert row[2] == f"{counts[i, i] / counts[i].sum():.2%}"
    assert f"{np.trace(counts) / 360:.2%}" == f"{summary['test_accuracy']:.2%}"


def test_evaluate_lists_confusions_of_many_classes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    confusion = np.eye(30, dtype=np.int64)
    confusion[4, 7], confusion[5, 6] = 9, 3
    confusion[8, 8] = 0
    names = tuple(f"class{i}" for i in range(30))
    rates = tuple(confusion[i, i] / max(confusion[i].sum(), 1) for i in range(30))
    result = build.EvaluationResult(0.5, 0.7, confusion, rates, names, Path("x.safetensors"))
    monkeypatch.setattr(build, "evaluate", lambda run, device: result)
    assert main(["evaluate", "run"]) == 0
    words = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["class4", "10", "10.00%"] in words
    assert ["class8", "0", "-"] in words
    where = words.index(["class4", "class7", "9"])
    assert words[where + 1] == ["class5", "class6", "3"]


def test_predict_names_the_likeliest(
    trained: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    test = data.load_dataset("digits").test
    assert test is not None
    np.savez(here / "some.npz", images=test.images)
    run = str(trained / "run")
    assert main(["predict", run, "some.npz", "--json", "--top", "10"]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert [a["item"] for a in answers] == [f"some.npz[{i}]" for i in range(360)]
    shares = [[p["probability"] for p in a["top"]] for a in answers]
    assert all(row == sorted(row, reverse=True) for row in shares)
    # Ten float32 probabilities, each within one rounding of its value.
    assert np.allclose(np.sum(shares, axis=1), 1, atol=10 * np.finfo(np.float32).eps)
    hits = [int(a["top"][0]["class"]) == y for a, y in zip(answers, test.labels, strict=True)]
    summary = json.loads((trained / "run/summary.json").read_text())
    assert sum(hits) / 360 == summary["test_accuracy"]

    assert main(["predict", run, "some.npz"]) == 0
    lines = capsys.readouterr().out.splitlines()
    best = answers[0]["top"][0]
    assert lines[0].split()[:3] == ["some.npz[0]", best["class"], f"{best['probability']:.2%}"]
    assert all(len(line.split()) == 1 + 2 * 3 for line in lines)


def test_predict_reads_pictures(
    trained: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = pytest.importorskip("PIL.Image", reason="needs Pillow")
    image.fromarray(np.full((30, 20, 3), 200, np.uint8)).save("photo.png")
    assert main(["predict", str(trained / "run"), "photo.png", "--top", "1"]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("photo.png  ")
    assert "converted to 1 channel of 8 x 8" in captured.err


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_auto_says_what_it_chose(
    command: str, trained: Path, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(here / "x.npz", np.zeros((1, 1, 8, 8), np.uint8))
    files = ["x.npz"] if command == "predict" else []
    assert main([command, str(trained / "run"), *files, "--device", "auto"]) == 0
    assert capsys.readouterr().err.startswith("device cpu (auto: ")


@pytest.mark.parametrize("resume", ["run", "run/checkpoints/last.safetensors"])
@pytest.mark.parametrize("config", [["tiny.yaml"], []])
def test_resume_goes_on_in_the_runs_folder(here: Path, resume: str, config: list[str]) -> None:
    assert main(["train", "tiny.yaml", "--output", "moved"]) == 0
    (here / "moved").rename(here / "run")
    more = ["--resume", resume, "--set", "train.epochs=2"]
    assert main(["train", *config, *more]) == 0
    assert json.loads((here / "run/summary.json").read_text())["epochs"] == 2
    assert sorted(os.listdir(here)) == ["run", "tiny.yaml"]


@pytest.mark.parametrize("output", [["--output", "a: new, [place]"], ["--set", "output=place"]])
def test_resume_into_another_folder(here: Path, output: list[str]) -> None:
    assert main(["train", "tiny.yaml", "--output", "run"]) == 0
    before = (here / "run/summary.json").read_text()
    more = ["--resume", "run", "--set", "train.epochs=2", *output]
    assert main(["train", *more]) == 0
    folder = here / output[1].removeprefix("output=")
    assert json.loads((folder / "summary.json").read_text())["epochs"] == 2
    assert (here / "run/summary.json").read_text() == before


def test_a_checkpoint_outside_a_run_folder_resumes_where_the_config_says(here: Path) -> None:
    assert main(["train", "tiny.yaml", "--output", "run"]) == 0
    (here / "run/checkpoints/last.safetensors").rename(here / "some.safetensors")
    (here / "run").rename(here / "old")
    status = main(["train", "tiny.yaml", "--resume", "some.safetensors", "--set", "train.epochs=1"])
    assert status == 0
    assert (here / "runs/tiny/summary.json").is_file()


def test_a_run_that_meets_nan_is_a_fault(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "tiny.yaml", "--set", "optimizer.sgd.lr=1e30"]) == 1
    message = capsys.readouterr().err
    assert message.startswith("gpucnn: error: ")
    assert "Traceback" not in message
    summary = json.loads((here / "runs/tiny/summary.json").read_text())
    assert summary["stop_reason"] == "non_finite"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_can_go_on(here: Path, number: signal.Signals) -> None:
    endless = ["--set", "train.epochs=100000", "--set", "train.log_every=1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "gpucnn", "train", "tiny.yaml", "--output", "run", *endless],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "iteration" in line:
            break
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert "--resume run" in out
    done = json.loads((here / "run/summary.json").read_text())
    assert done["stop_reason"] == "interrupted"
    more = ["--set", f"train.epochs={done['epochs'] + 1}", "--set", "train.log_every=1"]
    assert main(["train", "--resume", "run", *more]) == 0
