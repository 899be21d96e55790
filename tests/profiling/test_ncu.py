"""Nsight Compute's exported files, its commands, and what they need.

The files are written by hand in the format of its two pages.
"""

import io
import os
import shlex
from itertools import pairwise
from pathlib import Path

import pytest
from rich.console import Console

from gpucnn.cli import main
from gpucnn.errors import DataError
from gpucnn.profiling import ncu
from gpucnn.profiling.files import read_profile
from gpucnn.profiling.ncu_profile import COLLECTED, read_ncu
from gpucnn.profiling.tables import print_profile

RANGES = "thread Domain:Push/Pop_Range:PL_Type:PL_Value:CLR_Type:Color:Msg_Type:Msg"
HEAD = ("ID", "Process ID", "Process Name", "Host Name", RANGES, "Kernel Name", "Context", "Stream",
        "Block Size", "Grid Size", "Device", "CC")  # fmt: skip
UNITS = ("ns", "byte", "Kbyte", "inst", "inst", "inst", "sector", "sector", "register/thread",
         "Kbyte/block", "byte/block", "%", "%", "%")  # fmt: skip


def quoted(*cells: str) -> str:
    return ",".join('"' + cell.replace('"', '""') + '"' for cell in cells)


def around(*names: str) -> str:
    """Ranges as a cell shows them, after the thread's number."""
    none = ":none" * 6
    return "7  " + "  ".join(f'"<default domain>:{name}{none}"' for name in names) + " "


def launch(number: int, kernel: str, ranges: str, *values: str) -> str:
    fixed = (str(number), "42", "python", "host", ranges, kernel, "1", "7", "(256, 1, 1)",
             "(1000, 1, 1)", "0", "9.0")  # fmt: skip
    return quoted(*fixed, *values)


CONV = around("step", "model sequential forward", "model.layers.0 conv2d forward", "conv2d_forward")
BACK = around("step", "model.layers.0 conv2d backward", "conv2d_backward_bias")
UPDATE = around("step", "sgd_update", "sgd_update")
# Two launches of one kernel, 10 and 30 microseconds, and one of three others.
RAW = "\n".join(
    [
        "==PROF== Connected to process 42 (/usr/bin/python3)",
        'it says "hello", with a comma',
        quoted(*HEAD, *COLLECTED),
        quoted(*[""] * len(HEAD), *UNITS),
        launch(0, "conv2d_forward", CONV, "10,000", "1,000,000", "500", "0", "0", "40,000,000",
               "125,000", "62,500", "78", "8.048", "0", "40", "80", "30"),
        launch(1, "conv2d_forward", CONV, "30,000", "3,000,000", "1,500", "0", "0", "120,000,000",
               "375,000", "187,500", "78", "8.048", "0", "60", "90", "20"),
        launch(2, "conv2d_backward_bias_reduce", BACK, "2,000", "1,000", "0", "5", "0", "0", "10",
               "1", "26", "0", "0", "n/a", "1", "2"),
        launch(3, "sgd_update(const float*, int)", UPDATE, "20,000", "8,000", "8", "1", "1", "1",
               "10", "10", "24", "0", "16", "90", "10", "85"),
        launch(4, "cupy_fill", around("step"), "6,000", "n/a", "", "n/a", "0", "0", "", "1", "16",
               "0", "0", "50", "5", "60"),
        "==PROF== Disconnected from process 42",
    ]
)  # fmt: skip


def written(folder: Path, text: str) -> Path:
    path = folder / "ncu.csv"
    path.write_text(text + "\n")
    return path


def test_the_raw_page(tmp_path: Path) -> None:
    found = read_ncu(written(tmp_path, RAW))
    conv, sgd, fill, bias = found.kernels
    assert [row.kernel for row in found.kernels] == [
        "conv2d_forward", "sgd_update", "cupy_fill", "conv2d_backward_bias_reduce",
    ]  # fmt: skip
    assert (conv.calls, conv.ms) == (2, pytest.approx(0.040))
    assert conv.share == pytest.approx(40 / 68)
    assert (conv.flops, conv.bytes) == (2 * 160e6, 6e6)
    assert conv.tflops == pytest.approx(320e6 / 40e-6 / 1e12)
    assert conv.gb_s == pytest.approx(150)
    assert conv.intensity == pytest.approx(320 / 6)
    # Means over the time: a quarter of it is the first launch's.
    assert conv.compute_percent == pytest.approx(0.25 * 80 + 0.75 * 90)
    assert conv.memory_percent == pytest.approx(0.25 * 30 + 0.75 * 20)
    assert conv.occupancy == pytest.approx(0.55)
    assert (conv.registers, conv.shared_bytes, conv.block) == (78, 8048, (256, 1, 1))
    assert [row.limit for row in (conv, sgd, fill, bias)] == ["compute", "memory", "memory",
                                                             "launch"]  # fmt: skip
    assert (sgd.flops, sgd.bytes, sgd.shared_bytes) == (1 + 1 + 2, 16000, 16)
    assert (fill.flops, fill.bytes, bias.occupancy) == (None, None, None)
    assert [row.kernel for row in found.traffic] == [row.kernel for row in (conv, sgd, bias)]
    assert (found.traffic[0].loaded, found.traffic[0].stored) == (32 * 500_000, 32 * 250_000)


def test_layers_and_methods_come_from_the_ranges(tmp_path: Path) -> None:
    found = read_ncu(written(tmp_path, RAW))
    assert [(row.layer, row.phase, row.ms) for row in found.layers] == [
        ("model.layers.0", "forward", pytest.approx(0.040)),
        ("model.layers.0", "backward", pytest.approx(0.002)),
        ("", "", pytest.approx(0.026)),
    ]
    assert found.layer_names == {"model.layers.0": "conv2d"}
    assert [row.method for row in found.methods] == [
        "conv2d_forward", "sgd_update", "cupy_fill", "conv2d_backward_bias",
    ]  # fmt: skip
    assert found.step_ms == (pytest.approx(0.068),)
    assert not found.predicted


def test_without_ranges_the_kernels_tell_their_methods(tmp_path: Path) -> None:
    text = RAW.replace(RANGES, "Other")
    found = read_ncu(written(tmp_path, text))
    assert found.layers == ()
    assert found.methods[-1].method == "conv2d_backward_bias"


DETAILS = "\n".join(
    [
        quoted(*HEAD, "Section Name", "Metric Name", "Metric Unit", "Metric Value", "Rule Name"),
        *(
            launch(number, "conv2d_forward", CONV, "section", *cells)
            for number, cells in (
                (0, ("Duration", "us", "12.50", "")),
                (0, ("Registers Per Thread", "register/thread", "78", "")),
                (0, ("Static Shared Memory Per Block", "Kbyte/block", "8.05", "")),
                (0, ("Dynamic Shared Memory Per Block", "byte/block", "0", "")),
                (0, ("Achieved Occupancy", "%", "37.5", "")),
                (0, ("Compute (SM) Throughput", "%", "20", "")),
                (0, ("DRAM Throughput", "%", "45", "")),
                (0, ("DRAM Frequency", "cycle/nsecond", "6.99", "")),
                (0, ("", "", "", "Bottleneck")),
                (1, ("gpu__time_duration.sum", "msecond", "1,000.5", "")),
                (1, ("dram__bytes_read.sum", "Gbyte", "2", "")),
                (1, ("dram__bytes_write.sum", "Mbyte", "1", "")),
            )
        ),
    ]
)


def test_the_details_page(tmp_path: Path) -> None:
    found = read_ncu(written(tmp_path, DETAILS))
    (row,) = found.kernels
    assert (row.calls, row.ms) == (2, pytest.approx(1000.5125))
    assert (row.registers, row.shared_bytes) == (78, 8050)
    # Of one of the two launches only.
    assert (row.bytes, row.compute_percent, row.occupancy) == (None, None, None)
    first = "\n".join(line for line in DETAILS.splitlines() if not line.startswith('"1"'))
    (row,) = read_ncu(written(tmp_path, first)).kernels
    assert row.ms == pytest.approx(0.0125)
    assert (row.occupancy, row.compute_percent, row.memory_percent) == (0.375, 20, 45)
    assert row.limit == "memory"


def cut(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no line of heads with 'Kernel Name'"),
        ("==ERROR== ERR_NVGPUCTRPERM", "--page raw --csv"),
        (RAW[: RAW.index('"2","42"') + 60], "line 7: unexpected end of data: the file is cut off"),
        (RAW[: RAW.index('"2","42"') + 8], "line 7: 2 cells, the heads are 26"),
        (cut(RAW, '"10,000"', '"ten"'), "line 5: gpu__time_duration.sum is no number: 'ten'"),
        (cut(RAW, '"30,000"', '"n/a"'), "no time of conv2d_forward: collect gpu__time_duration"),
        (RAW.replace("gpu__time_duration.sum", "gpu__time.sum"), "tells no time of conv2d_forward"),
        ("\n".join(RAW.splitlines()[:4]), "holds no launch of a kernel"),
        ("\n".join(RAW.splitlines()[:3]), "holds no launch of a kernel"),
        ("\n".join(RAW.splitlines()[2:3] + RAW.splitlines()[4:]), "where the units should be"),
        (cut(DETAILS, '"12.50"', '"12.5.0"'), "line 2: Duration is no number: '12.5.0'"),
        (DETAILS.replace('"ID","Process ID"', '"Process ID","Invocations"'), "without a summary"),
    ],
)
def test_a_damaged_file_is_one_message(tmp_path: Path, text: str, words: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(DataError) as caught:
        read_ncu(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


def test_no_such_file_and_no_text(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read"):
        read_ncu(tmp_path / "none.csv")
    (tmp_path / "report.ncu-rep").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(DataError, match="cannot read"):
        read_ncu(tmp_path / "report.ncu-rep")


def test_the_table_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = written(tmp_path, RAW), tmp_path / "out"
    assert main(["profile", "--read-ncu", str(path), "--output", str(out)]) == 0
    text = capsys.readouterr().out
    for words in ("5 launches on compute capability 9.0, read from", "By layer and pass",
                  "0 conv2d  backward", "conv2d_forward", "% SM", "78", "compute 88%",
                  "Global memory by kernel", "0.068 ms, without what is between"):  # fmt: skip
        assert words in text
    assert read_profile(out) == read_ncu(path)
    assert "conv2d_forward" in (out / "profile.html").read_text("utf-8")
    quiet = io.StringIO()
    print_profile(Console(file=quiet), read_ncu(written(tmp_path, DETAILS)))
    assert "Global memory" not in quiet.getvalue()


CONFIG = """\
data: {name: synthetic, samples: 40, classes: 3, image: [1, 6, 6], batch_size: 8}
model: {input: [1, 6, 6], layers: [flatten, {linear: {units: 3}}]}
optimizer: {sgd: {lr: 0.1}}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with tiny.yaml, and with ncu and nsys on PATH."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(CONFIG)
    for tool in ("ncu", "nsys"):
        (tmp_path / tool).write_text("#!/bin/sh\n")
        (tmp_path / tool).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(ncu, "check_permission", lambda: ncu.Check(True, "counters: allowed"))
    return tmp_path


def test_the_commands_of_ncu(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["profile", "tiny.yaml", "--ncu", "--kernel", "relu_forward", "--kernel", "add"]
    assert main([*asked, "--set", "data.batch_size=4", "--output", "a folder"]) == 0
    checks, commands = capsys.readouterr().out.split("mkdir")
    assert checks.splitlines() == [f"# ncu: {here}/ncu", "# counters: allowed"]
    make, collect, export, show = map(shlex.split, f"mkdir{commands}".splitlines())
    assert make == ["mkdir", "-p", "a folder"]
    run = collect[collect.index("gpucnn") :]
    assert run == ["gpucnn", "profile", "tiny.yaml", "--device", "cuda", "--nvtx", "--steps", "1",
                   "--set", "data.batch_size=4"]  # fmt: skip
    options = dict(pairwise(collect))
    assert options["--nvtx-include"] == "step/"
    assert options["--metrics"].split(",") == list(COLLECTED)
    assert options["--kernel-name"] == "regex:^(relu_forward|add)$"
    assert options["--export"] == "a folder/ncu.ncu-rep"
    assert export[:3] == ["ncu", "--import", "a folder/ncu.ncu-rep"]
    assert export[-2:] == [">", "a folder/ncu.csv"]
    assert show == ["gpucnn", "profile", "--read-ncu", "a folder/ncu.csv"]
    assert sorted(os.listdir(here)) == ["ncu", "nsys", "tiny.yaml"], "nothing is run or written"


def test_the_commands_of_nsys(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", "tiny.yaml", "--nsys", "--device", "cuda:1", "--synthetic"]) == 0
    check, _, collect, stats = capsys.readouterr().out.splitlines()
    assert check == f"# nsys: {here}/nsys"
    assert collect.startswith("nsys profile --trace=cuda,nvtx,osrt ")
    assert collect.endswith("gpucnn profile tiny.yaml --device cuda:1 --nvtx --steps 5 --synthetic")
    report = "runs/tiny/profile/nsys.nsys-rep"
    assert f"--output={report}" in collect
    assert stats == f"nsys stats --report nvtx_gpu_proj_sum,cuda_gpu_kern_sum {report}"


def test_a_missing_tool_is_told_with_the_command(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "ncu").unlink()
    assert main(["profile", "tiny.yaml", "--ncu"]) == 1
    text = capsys.readouterr().out
    assert text.startswith("# MISSING: ncu is not on PATH: install Nsight Compute (https://")
    assert "\nncu --target-processes" in text


@pytest.mark.parametrize(
    ("text", "user", "ok", "words"),
    [
        ("RmProfilingAdminOnly: 0\n", 1000, True, "allowed to every user"),
        ("A: 1\nRmProfilingAdminOnly: 1\n", 0, True, "you are one"),
        ("A: 0\nRmProfilingAdminOnly: 1\nB: 2\n", 1000, False, "ERR_NVGPUCTRPERM"),
        ("RmProfilingAdminOnly: 1\n", 1000, False, "NVreg_RestrictProfilingToAdminUsers=0"),
        ("A: 1\n", 1000, True, "has no RmProfilingAdminOnly"),
        (None, 1000, False, "no NVIDIA driver is loaded"),
    ],
)
def test_the_permission_to_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, user: int, ok: bool,
    words: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(os, "geteuid", lambda: user)
    if text is not None:
        (tmp_path / "params").write_text(text)
    found = ncu.check_permission(tmp_path / "params")
    assert found.ok is ok
    assert words in found.text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["profile"], ["needs a CONFIG, or --read-ncu FILE"]),
        (["profile", "tiny.yaml", "--read-ncu", "x.csv"], ["x.csv alone", "leave out tiny.yaml"]),
        (["profile", "--read-ncu", "x.csv"], ["cannot read x.csv"]),
        (["profile", "tiny.yaml", "--kernel", "add"], ["give --ncu with it"]),
        (["profile", "tiny.yaml", "--ncu", "--kernel", "ad"], ["named ad", "kernels list"]),
        (["profile", "tiny.yaml", "--ncu", "--device", "cpu"], ["cuda or cuda:N", "'cpu'"]),
        (["profile", "tiny.yaml", "--ncu", "--nsys"], ["--nsys", "not allowed", "--ncu"]),
        (["profile", "tiny.yaml", "--ncu", "--steps", "0"], ["--steps", "got 0"]),
        (["profile", "none.yaml", "--ncu"], ["none.yaml"]),
    ],
)
def test_a_mistake_is_one_message(
    here: Path, arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("gpucnn: error: ")
    assert error.count("\n") == 1
    for word in words:
        assert word in error
