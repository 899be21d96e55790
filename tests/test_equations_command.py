"""`gpucnn equations`, on a small source tree, whole and broken, and on this one."""

import shutil
from pathlib import Path

import pytest

from gpucnn import traceability
from gpucnn.cli import main
from gpucnn.errors import ConfigError, DataError
from gpucnn.traceability import Trace, load

ROOT = Path(__file__).resolve().parent.parent

SEEDS = """\
sources: {S3: {title: The mathematics, original: 数学}}
rows:
  A7: {source: S3, statement: The weight gradient.}
  E1: {source: S4, statement: Right., wrong: Wrong.}
equations:
  "S3:2.21": {statement: A product., ours: dC, theirs: dz, rows: [A7]}
"""
CODE = """\
from gpucnn.implements import implements

class Ops:
    @implements("A7", "E1")
    def weight_gradient(self): ...
"""
TESTS = """\
import pytest

@pytest.mark.seed("A7")
class TestGradient: ...

@pytest.mark.parametrize("x", [1, pytest.param(2, marks=pytest.mark.seed("E1"))])
def test_error(x): ...
"""


@pytest.fixture(scope="module")
def trace() -> Trace:
    return load()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small source tree in which everything has code and a test."""
    for folder in ("docs", "gpucnn/ops", "kernels", "tests"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "docs/seeds.yaml").write_text(SEEDS)
    (tmp_path / "gpucnn/ops/dense.py").write_text(CODE)
    (tmp_path / "kernels/dense.cu").write_text("// dense: a product.\n// implements A7 S3:2.21\n")
    (tmp_path / "tests/test_dense.py").write_text(TESTS)
    return tmp_path


def check(tree: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """`gpucnn equations --check` on another tree."""
    found = load(tree / "gpucnn")
    monkeypatch.setattr(traceability, "load", lambda: found)
    return main(["equations", "--check"])


def test_the_check_passes_and_counts(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check(tree, monkeypatch) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["1.1", "algorithms", "(A)", "1", "1", "1"] in lines
    assert ["all", "3", "3", "3"] in lines


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("gpucnn/ops/dense.py", ', "E1"', "", "1.3 errata (E): not implemented: E1"),
        ("gpucnn/ops/dense.py", '"A7", ', "", "equations of S3: not implemented: S3:2.21"),
        ("tests/test_dense.py", '"E1"', '"A7"', "1.3 errata (E): not tested: E1"),
        ("tests/test_dense.py", '"A7"', '"E1"', "equations of S3: not tested: S3:2.21"),
        ("gpucnn/ops/dense.py", '"E1"', '"E1", "E31"', "gpucnn/ops/dense.py:5 names E31, which"),
        (
            "kernels/dense.cu",
            "A7 ",
            "A7 A99 ",
            "kernels/dense.cu:2 names A99, which does not exist",
        ),
        ("tests/test_dense.py", '"E1"', '"E1", "X1"', "tests/test_dense.py:7 names X1, which"),
    ],
)
def test_the_check_fails_on_a_broken_copy(
    tree: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    file: str,
    old: str,
    new: str,
    says: str,
) -> None:
    text = (tree / file).read_text()
    assert old in text
    (tree / file).write_text(text.replace(old, new))
    assert check(tree, monkeypatch) == 1
    assert says in capsys.readouterr().out


def test_the_real_tree_with_one_more_row_fails_the_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("gpucnn", "kernels", "tests"):
        (tmp_path / folder).symlink_to(ROOT / folder, target_is_directory=True)
    (tmp_path / "docs").mkdir()
    seeds = (ROOT / "docs/seeds.yaml").read_text()
    more = seeds.replace("\n  G1:", "\n  G10: {source: S3, statement: One more.}\n  G1:", 1)
    (tmp_path / "docs/seeds.yaml").write_text(more)
    assert check(tmp_path, monkeypatch) == 1
    out = capsys.readouterr().out
    assert "not implemented: G10\n" in out
    assert "not tested: G10\n" in out


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("gpucnn/ops/dense.py", '"A7"', "NAME", r"dense\.py:4: implements\(NAME, 'E1'\) must name"),
        ("tests/test_dense.py", '("A7")', "(*IDS)", r"test_dense\.py:3: .* must name its ids as"),
        ("tests/test_dense.py", "def test_error", "def helper", "helper is marked, but it is no"),
    ],
)
def test_a_mark_that_cannot_be_read_is_refused(
    tree: Path, file: str, old: str, new: str, says: str
) -> None:
    (tree / file).write_text((tree / file).read_text().replace(old, new))
    with pytest.raises(ConfigError, match=says):
        load(tree / "gpucnn")


def test_the_mark_of_a_file_counts(tree: Path) -> None:
    text = 'import pytest\npytestmark = [pytest.mark.seed("E1")]\ndef test_it(): ...\n'
    (tree / "tests/test_more.py").write_text(text)
    (place,) = (p for p in load(tree / "gpucnn").of("E1", "test") if p.path.endswith("more.py"))
    assert (place.name, place.line) == ("(the file)", 2)


def test_an_id_leads_from_the_equation_to_the_kernel_and_the_tests(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = load(tree / "gpucnn")
    monkeypatch.setattr(traceability, "load", lambda: found)
    assert main(["equations", "S3:2.21"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert lines[0] == ["S3:2.21", "A", "product."]
    assert lines[1] == ["source", "The", "mathematics", "(数学),", "equation", "2.21"]
    # The equation itself is named by the kernel; the row it belongs to by the rest.
    assert lines[-3:] == [
        ["Ops", "method", "Ops.weight_gradient", "gpucnn/ops/dense.py:5", "A7"],
        ["kernel", "dense", "kernels/dense.cu:2", "S3:2.21"],
        ["test", "TestGradient", "tests/test_dense.py:4", "A7"],
    ]


def test_all_are_listed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, trace: Trace
) -> None:
    monkeypatch.setattr(traceability, "load", lambda: trace)
    assert main(["equations"]) == 0
    out = capsys.readouterr().out
    listed = {line.split()[0] for line in out.splitlines() if line.strip()}
    assert {*trace.statements, *trace.sources} <= listed
    assert "卷积神经网络背后的数学原理" in out


@pytest.mark.parametrize(
    ("id", "says"),
    [
        ("S3:2.31", "'S3:2.31': nearest: S3:2"),
        ("a7", "'a7': nearest: A7"),
        ("?", "'?': gpucnn equations lists them all"),
    ],
)
def test_an_unknown_id_gets_the_nearest(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    trace: Trace,
    id: str,
    says: str,
) -> None:
    monkeypatch.setattr(traceability, "load", lambda: trace)
    assert main(["equations", id]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def test_the_check_takes_no_id(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["equations", "--check", "A7"]) == 2
    assert "--check counts all ids and takes none, got 'A7'" in capsys.readouterr().err


def test_an_installed_gpucnn_says_where_the_tests_are(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the wheel has it: seeds.yaml and kernels inside the package, somebody else's tests."""
    (tree / "gpucnn/_docs").mkdir()
    shutil.move(tree / "docs/seeds.yaml", tree / "gpucnn/_docs/seeds.yaml")
    shutil.move(tree / "kernels", tree / "gpucnn/_kernels")
    found = load(tree / "gpucnn")
    monkeypatch.setattr(traceability, "load", lambda: found)
    assert main(["equations", "A7"]) == 0
    out = capsys.readouterr().out
    assert "gpucnn/_kernels/dense.cu:2" in out
    assert "test_dense" not in out
    assert "the tests are in the source tree, not in an installed gpucnn" in out
    assert main(["equations", "--check"]) == 2
    assert "run gpucnn equations --check in a checkout" in capsys.readouterr().err


def test_a_missing_list_is_one_message(tree: Path) -> None:
    (tree / "docs/seeds.yaml").unlink()
    with pytest.raises(DataError, match=r"_docs/seeds\.yaml is missing: reinstall gpucnn"):
        load(tree / "gpucnn")
