"""The commands: their help, their exit status, and those that need no run."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

import gpucnn
from gpucnn import cli, data
from gpucnn.cli import main
from gpucnn.cli.tables import show
from gpucnn.errors import DataError, KernelError, NonFiniteError

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = [
    "train", "evaluate", "predict", "check", "kernels", "equations", "explain", "download-data",
    "doctor", "schema",
]  # fmt: skip


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"gpucnn {gpucnn.__version__}\n"
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert set(COMMANDS) <= {line.split()[0] for line in text.splitlines() if line.strip()}


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"usage: gpucnn {command}")


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from gpucnn.cli import main; main(['--help']);"
        "print([m for m in ('pydantic', 'yaml', 'rich', 'safetensors', 'matplotlib', 'PIL')"
        " if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize(
    ("script", "command"),
    [
        ("train.py", "train"),
        ("evaluate.py", "evaluate"),
        ("predict.py", "predict"),
        ("download_data.py", "download-data"),
    ],
)
def test_the_scripts_are_the_commands(script: str, command: str) -> None:
    answers = [
        subprocess.run(
            [sys.executable, *start, "--help"], capture_output=True, text=True, check=True
        ).stdout
        for start in ([str(ROOT / "scripts" / script)], ["-m", "gpucnn", command])
    ]
    assert answers[0] == answers[1]


def test_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert "model" in json.loads(capsys.readouterr().out)["properties"]


def test_doctor_reports_a_line_a_part(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from gpucnn import doctor

    sound = doctor.Finding("numpy", "OK", "2.0", required=True)
    absent = doctor.Finding("driver", "missing", "none", "install it")
    monkeypatch.setattr(doctor, "examine", lambda: [sound, absent])
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [
        ["numpy", "OK", "2.0"],
        ["driver", "missing", "none"],
        ["->", "install", "it"],
    ]
    broken = doctor.Finding("numpy", "problem", "1.0", "pip install", required=True)
    monkeypatch.setattr(doctor, "examine", lambda: [broken, absent])
    assert main(["doctor"]) == 1


def test_download_data_goes_to_data_by_default(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def download(name: str, root: str) -> None:
        calls.append((name, root))
        logging.getLogger("gpucnn.data.files").info("downloading from a mirror")

    monkeypatch.setattr(data, "download_dataset", download)
    assert main(["download-data", "mnist"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "mnist is complete in data/mnist\n"
    assert captured.err == "downloading from a mirror\n"
    assert main(["download-data", "mnist", "--root", "there"]) == 0
    assert calls == [("mnist", "data/mnist"), ("mnist", "there")]
    assert logging.getLogger("gpucnn").handlers == []


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (DataError("no data"), 2, "gpucnn: error: no data\n"),
        (KernelError("no kernel"), 1, "gpucnn: error: no kernel\n"),
        (NonFiniteError("NaN"), 1, "gpucnn: error: NaN\n"),
        (KeyboardInterrupt(), 130, "gpucnn: interrupted\n"),
        (PermissionError(13, "Permission denied", "f"), 2, "gpucnn: error: f: Permission denied\n"),
    ],
)
def test_exit_status(
    error: BaseException,
    status: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(arguments: object) -> int:
        raise error

    monkeypatch.setattr(cli.schema, "run", fail)
    assert main(["schema"]) == status
    assert capsys.readouterr().err == message


@pytest.mark.parametrize("error", [ZeroDivisionError("a fault"), OSError("no file named")])
def test_a_fault_shows_its_trace(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(arguments: object) -> int:
        raise error

    monkeypatch.setattr(cli.schema, "run", fail)
    with pytest.raises(type(error), match=str(error)):
        main(["schema"])


def test_a_reader_that_leaves_is_no_error() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "gpucnn", "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()  # before anything was written: the first write fails
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(timeout=60) == 1


def test_a_piped_table_is_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    long = "[bold]a name with brackets, much longer than the terminal is wide[/bold]"
    show("title", ("first", "second"), [(long, "1"), ("b", "22")])
    out = capsys.readouterr().out
    assert f" {long} " in out
    assert "…" not in out
