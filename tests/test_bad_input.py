"""Every mistake a user can make at the command line: one message, status 2, no file touched.

The tables are in bad_inputs: a command, the files it finds, and what the message must say.
"""

import os
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from gpucnn.cli import main
from tests.bad_inputs import COMMANDS, CONFIGS, DATA, GOOD, NPZ, PICTURES, SHAPES, X, Y, npz


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of the good config."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "good.yaml").write_text(GOOD)
    assert main(["train", str(folder / "good.yaml"), "--output", str(folder / "run")]) == 0
    return folder / "run"


@pytest.fixture
def workspace(tmp_path: Path, finished_run: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a good config, a finished run and an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GPUCNN_DATA", raising=False)
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "empty").mkdir()
    shutil.copytree(finished_run, tmp_path / "run")
    return tmp_path


def contents(folder: Path) -> dict[str, bytes | None]:
    """Every file below a folder and its bytes; None for a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def check_refused(
    command: str, says: list[str], workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command ends with status 2 and one message with these words, and touches no file."""
    before = contents(workspace)
    capsys.readouterr()
    status = main(shlex.split(command))
    message = capsys.readouterr().err
    assert (status, message[:15]) == (2, "gpucnn: error: "), message
    for fragment in says:
        assert fragment in message
    assert "Traceback" not in message
    assert message.count("gpucnn: error:") == 1
    assert contents(workspace) == before


@pytest.mark.parametrize("rule", CONFIGS | SHAPES)
@pytest.mark.parametrize("command", ["check", "train"])
def test_a_bad_config(
    rule: str, command: str, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, says = (CONFIGS | SHAPES)[rule]
    (workspace / "bad.yaml").write_text(config)
    check_refused(f"{command} bad.yaml", says, workspace, capsys)


@pytest.mark.parametrize("rule", DATA)
def test_data_that_does_not_fit(
    rule: str, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, data, says = DATA[rule]
    (workspace / "bad.yaml").write_text(config)
    if data is not None:
        (workspace / "data.npz").write_bytes(data)
    check_refused("train bad.yaml", says, workspace, capsys)


@pytest.mark.parametrize("rule", COMMANDS)
def test_a_bad_command(rule: str, workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command, prepare, says = COMMANDS[rule]
    prepare()
    check_refused(command, says, workspace, capsys)


@pytest.mark.parametrize("fault", PICTURES)
def test_a_picture_that_is_none(
    fault: str, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("PIL", reason="needs Pillow")
    command, says = PICTURES[fault]
    check_refused(command, says, workspace, capsys)


@pytest.mark.parametrize("file", ["good.yaml", "run/checkpoints/best.safetensors"])
def test_a_file_that_may_not_be_read(
    file: str, workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = workspace / file
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read every file")
    capsys.readouterr()
    assert main(["check", file] if file.endswith("yaml") else ["evaluate", "run"]) == 2
    message = capsys.readouterr().err
    assert file in message
    assert "Permission denied" in message


def test_a_picture_without_pillow(
    workspace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    (workspace / "x.png").write_bytes(b"whatever")
    check_refused("predict run x.png", ["Pillow", "pip install"], workspace, capsys)


def test_the_good_input_is_good(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The tables change one thing each in what works as it is."""
    (workspace / "data.npz").write_bytes(npz(x_train=X, y_train=Y, x_test=X, y_test=Y))
    (workspace / "images.npz").write_bytes(npz(x=X))
    (workspace / "npz.yaml").write_text(NPZ)
    for command in (
        "check good.yaml",
        "train npz.yaml",
        "evaluate run",
        "predict run images.npz",
        "train good.yaml --resume run --set train.epochs=2",
    ):
        assert main(shlex.split(command)) == 0, capsys.readouterr().err
