"""Tables of shapes: the one that comes with gpucnn, and every way to get one wrong."""

from pathlib import Path

import pytest

from gpucnn.config import load_shapes
from gpucnn.config.shapes import KINDS, default_shapes
from gpucnn.errors import ConfigError

CONV = "[2, 4, 8, 8, 6, 3, 3, 1, 1, 1, 2]"


def test_the_table_that_comes_with_gpucnn() -> None:
    table = load_shapes(default_shapes())
    assert set(table) == set(KINDS)
    assert table["convolutions"]["ci1"] == (512, 64, 32, 32, 64, 3, 3, 1, 1, 1, 1)


def test_a_table_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(f"convolutions: {{one: {CONV}}}\narenas: {{all: [7]}}\n")
    assert load_shapes(path) == {
        "convolutions": {"one": (2, 4, 8, 8, 6, 3, 3, 1, 1, 1, 2)},
        "arenas": {"all": (7,)},
    }


BAD: dict[str, tuple[str, list[str]]] = {
    "empty": ("", ["own.yaml:1:1", "expected shapes", "got nothing"]),
    "a list": ("- 1", ["own.yaml:1:1", "convolutions, pools"]),
    "no kind": ("{}", ["expected shapes"]),
    "an unknown kind": ("convolution: {}", ["own.yaml:1:1", "did you mean 'convolutions'"]),
    "a kind without rows": ("pools: {}", ["pools: expected a mapping of names to [N, C, H, W,"]),
    "a kind that is a list": ("arenas: [1]", ["arenas: expected a mapping", "got [1]"]),
    "too few numbers": ("linears: {fc: [1, 2]}", ["linears.fc", "[N, in, out], got [1, 2]"]),
    "no list": ("linears: {fc: 3}", ["linears.fc", "got 3"]),
    "a zero": ("linears: {fc: [1, 0, 2]}", ["linears.fc.1", "expected in, an integer from 1"]),
    "a negative padding": ("pools: {p: [1, 1, 4, 4, 2, 2, -1]}", ["padding, an integer from 0"]),
    "a fraction": ("arenas: {a: [1.5]}", ["arenas.a.0", "got 1.5"]),
    "a truth": ("arenas: {a: [true]}", ["arenas.a.0", "got true"]),
    "beyond int32": ("arenas: {a: [2147483648]}", ["to 2147483647, got 2147483648"]),
    "channels and groups": (
        f"convolutions: {{c: {CONV.replace('4', '3')}}}", ["C divisible by groups, got C 3"]
    ),
    "filters and groups": (
        f"convolutions: {{c: {CONV.replace('6', '5')}}}", ["K divisible by groups", "K 5"]
    ),
    "twice the same": ("arenas: {a: [1], a: [2]}", ["duplicate key"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_table(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text, words = BAD[kind]
    Path("own.yaml").write_text(text)
    with pytest.raises(ConfigError) as error:
        load_shapes("own.yaml")
    for word in words:
        assert word in str(error.value)


def test_a_table_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "shapes.yaml").touch()
    with pytest.raises(
        ConfigError, match=r"cannot read the shapes: .*did you mean '.*shapes.yaml'"
    ):
        load_shapes(tmp_path / "shape.yaml")
