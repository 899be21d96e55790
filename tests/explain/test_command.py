"""`gpucnn explain` as a command: what it prints, draws, and answers to mistakes."""

import io
import re
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from gpucnn.cli import main
from gpucnn.explain.cases import CASES
from gpucnn.explain.picture import Page, draw
from gpucnn.explain.text import ASCII, WIDTH, plain, render
from tests.explain.walks import walk


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(["explain", *arguments])
    return status, *capsys.readouterr()


def test_alone_it_lists_the_cases(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = answer(capsys)
    assert status == 0
    assert set(CASES) <= {line.split()[0] for line in out.splitlines() if line.strip()}


@pytest.mark.parametrize("case", CASES)
def test_a_case_prints_its_walk_in_80_columns(
    case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, _ = answer(capsys, case)
    assert status == 0
    assert out == plain(walk(case))
    assert max(map(len, out.splitlines())) <= WIDTH
    assert "✓ agrees with Ops " in out
    assert "\x1b" not in out
    assert not any(line.endswith(" ") for line in out.splitlines())


def test_the_options_reach_the_walk(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--size", "5x6", "--kernel", "3x2", "--stride", "1x2", "--padding", "1x0"]
    options = [*sizes, "--dilation", "2x1", "--seed", "7"]
    expected = walk(
        "conv",
        size=(5, 6),
        kernel=(3, 2),
        stride=(1, 2),
        padding=((1, 1), (0, 0)),
        dilation=(2, 1),
        seed=7,
    )
    assert answer(capsys, "conv", *options) == (0, plain(expected), "")
    assert answer(capsys, "pool", "--tie-break", "column_major")[1] == plain(
        walk("pool", tie_break="column_major")
    )
    assert "δ·sign(x)·(|x|/y)^2" in answer(capsys, "lp-pool", "--power", "3")[1]
    assert "5 classes, label 1" in answer(capsys, "softmax", "--classes", "5", "--label", "1")[1]
    assert "= 7, jump" in answer(capsys, "receptive-field", "--layers", "3,3/2,2")[1]


def test_the_same_seed_draws_the_same_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    first, again, other = (answer(capsys, "pool", "--seed", seed)[1] for seed in "001")
    assert first == again != other


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("convolution", "no case 'convolution': gpucnn explain takes conv,"),
        ("conv --tie-break row_major", "does not take --tie-break: it takes --size, --kernel"),
        ("conv --size 6 --kernel 3 --stride 2", "(6 - 3 + 0)/2 + 1 = 2.5 is not a whole number"),
        ("conv --size 6 --kernel 3 --stride 2", "--kernel 2, --stride 1, --size 5, --rounding"),
        ("conv --stride 2x1 --size 5", "height does not tile"),
        ("conv --kernel 5", "a window of 5 cells does not fit the height 3 with padding 0 in all"),
        ("conv --kernel 5", "--kernel 3, --padding 1, --size 5x6"),
        ("conv --kernel 9 --size 2", "none near these; try a larger --size"),
        ("lp-pool --size 5x4", "work: --kernel 1x2, --stride 1x2, --size 4, --rounding floor"),
        ("pool --padding 2", "padding 2 along the height must be less than the window's 2, or"),
        ("conv --size 50", "51 cells along a side with --size 50 and --kernel 2, and explain"),
        ("conv --size 9 --kernel 5", "13 cells along a side"),
        ("avg-pool --size 10", "explain draws at most 8"),
        ("im2col --size 6 --kernel 3", "M would have 144 rows and 36 columns"),
        ("toeplitz --size 6 --kernel 3", "C would have 16 rows and 36 columns"),
        ("receptive-field --layers 9,9,9", "sees 25 cells, and explain draws at most 24"),
        ("receptive-field --layers 3,x", "KERNEL or KERNEL/STRIDE"),
        ("receptive-field --layers 3/0", "KERNEL or KERNEL/STRIDE"),
        ("conv --padding same --stride 2", "--padding same needs stride 1"),
        ("conv --size big", "--size must be a whole number >= 1 or HEIGHTxWIDTH, such as 2"),
        ("conv --kernel 0", "--kernel must be a whole number >= 1"),
        ("conv --padding -1", "--padding must be a whole number >= 0"),
        ("conv --stride 1x2x3", "got '1x2x3'"),
        ("conv --size 99999999999", "--size must be a whole number"),
        ("conv --seed -1", "seed must be an integer from 0 to 2**64 - 1, got -1"),
        ("conv --seed one", "--seed: invalid int value: 'one'"),
        ("lp-pool --power 0", "--power must be from 1 to 16, got 0"),
        ("lp-pool --power nan", "--power must be from 1 to 16, got nan"),
        ("channels --channels 4", "--channels must be from 1 to 3, got 4"),
        ("channels --filters 0", "--filters must be from 1 to 3, got 0"),
        ("channels --size 2 --kernel 3", "does not fit the height 2 with padding 0 in all"),
        ("softmax --classes 0", "--classes must be from 2 to 6, got 0"),
        ("softmax --label 3", "--label must be from 0 to 2, got 3"),
        ("--size 3", "name a case before its options"),
        ("pool --png nowhere/a.png", "the folder nowhere does not exist; make it first"),
        ("pool --png .", "--png . is a folder: name a file in it"),
    ],
)
def test_a_mistake_gets_one_message(
    arguments: str,
    says: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    status, out, err = answer(capsys, *arguments.split())
    assert (status, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1


def test_a_terminal_gets_colour_and_the_same_text() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=WIDTH, color_system="standard")
    for line in render(walk("pool")):
        console.print(line, soft_wrap=True, highlight=False)
    assert "\x1b[1;33m" in stream.getvalue()
    without = re.sub(r"\x1b\[[0-9;]*m", "", stream.getvalue())
    assert without == plain(walk("pool"))


def test_ascii_is_enough() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gpucnn", "explain", "conv"],
        env={"PYTHONIOENCODING": "ascii", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        check=True,
    )
    assert b"dx[1,1] = 1.1 + 2.(-1) + 4.0 + 5.1 = 4" in done.stdout
    for case in CASES:
        assert plain(walk(case)).translate(ASCII).isascii()


def size_of(png: bytes) -> tuple[int, int]:
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def test_the_picture_is_written_and_replaces_an_old_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib", reason='needs matplotlib: pip install ".[dev]"')
    file = tmp_path / "pool.png"
    file.write_text("old")
    status, out, _ = answer(capsys, "pool-overlap", "--png", str(file))
    assert status == 0
    assert out == f"{plain(walk('pool-overlap'))}\ndrawn: {file}\n"
    assert size_of(file.read_bytes())[0] == 1620
    assert [path.name for path in tmp_path.iterdir()] == ["pool.png"]


def test_a_file_that_cannot_be_written_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib", reason='needs matplotlib: pip install ".[dev]"')
    # The temporary file beside it has a name that is too long.
    file = tmp_path / f"{'a' * 249}.png"
    status, out, err = answer(capsys, "receptive-field", "--png", str(file))
    assert (status, out) == (2, "")
    assert f"cannot write {file}: File name too long; make room or choose another" in err


def test_without_matplotlib_the_remedy_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    status, out, err = answer(capsys, "pool", "--png", str(tmp_path / "pool.png"))
    assert (status, out) == (2, "")
    assert "--png needs matplotlib, which is not installed: pip install matplotlib" in err
    assert not list(tmp_path.iterdir())


class Recorder:
    """Axes that only remember what is drawn on them."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.corners: list[tuple[float, float]] = []

    def text(self, x: float, y: float, text: str, **_: Any) -> None:
        self.texts.append(text)
        self.corners.append((x, y))

    def plot(self, *_: Any, **__: Any) -> None:
        """A rule."""

    def add_patch(self, patch: Any) -> None:
        x, y = patch.get_xy()
        self.corners += [(x, y), (x + patch.get_width(), y + patch.get_height())]


@pytest.mark.parametrize("case", CASES)
def test_the_picture_shows_every_number_on_the_page(case: str) -> None:
    pytest.importorskip("matplotlib", reason='needs matplotlib: pip install ".[dev]"')
    drawn, page, recorder = walk(case), Page(), Recorder()
    for count, step in enumerate(drawn.steps, start=1):
        page.step(count, step)
    for command in page.commands:
        command(recorder)
    for step in drawn.steps:
        assert any(step.title in text for text in recorder.texts)
        for frame in step.frames:
            assert frame.name in recorder.texts
        for total in step.sums:
            assert any(total.startswith(text) for text in recorder.texts)
    assert all(0 <= x <= 30 and 0 <= y <= page.y for x, y in recorder.corners)


def test_a_large_picture_says_what_it_leaves_out() -> None:
    pytest.importorskip("matplotlib", reason='needs matplotlib: pip install ".[dev]"')
    page = Page()
    (step,) = walk("conv-forward", size=(9, 9), kernel=(2, 2), stride=(1, 1), seed=0).steps[:1]
    page.step(1, step)
    recorder = Recorder()
    for command in page.commands:
        command(recorder)
    assert "… and 32 more places" in recorder.texts
    assert size_of(draw(walk("softmax")))[1] > 100
