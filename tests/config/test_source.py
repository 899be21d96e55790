"""YAML, read strictly: what is refused, where, and what numbers are."""

import math
from pathlib import Path
from typing import Any

import pytest

from gpucnn.config import load_config, parse_config
from gpucnn.config.source import MAX_CHARACTERS, read_source
from gpucnn.errors import ConfigError
from tests.config.sample import GOOD

ROWS: list[tuple[str, str, list[str]]] = [
    ("empty", "", ["c:1:1:", "got nothing"]),
    ("only a comment", "# nothing\n", ["c:1:1:", "got nothing"]),
    ("a list", "\n- a\n", ["c:2:1:", "a mapping with data", "['a']"]),
    ("a word", "seed", ["c:1:1:", "the string 'seed'"]),
    ("duplicate key", "a: 1\nb: 2\na: 3\n", ["c:3:1: a: duplicate key", "at 1:1"]),
    ("inner duplicate", "a: {b: 1, b: 2}", ["c:1:11: a.b: duplicate key", "at 1:5"]),
    ("anchor", "a: &x 1", ["c:1:4:", "anchors and aliases", "repeat the keys"]),
    ("alias", "a: *x", ["c:1:4:", "anchors and aliases"]),
    ("merge key", "a: {<<: {b: 1}}", ["c:1:5: a: merge keys (<<) are not allowed"]),
    ("tag", "a: !!python/object/apply:os.system [ls]", ["c:1:4: tags such as"]),
    ("two documents", "a: 1\n---\nb: 1\n", ["c:2:1: expected one document"]),
    ("tab as indent", "a:\n\tb: 1\n", ["c:2:1:", "spaces, got a tab"]),
    ("tab after a colon", "a:\t1\n", ["c:1:3:", "spaces, got a tab"]),
    ("open bracket", "a: [1, 2\n", ["c:2:1: not YAML"]),
    ("open quote", 'a: "b\n', ["c:2:1: not YAML"]),
    ("control character", "a: 1\nb: \x07\n", ["c:2:4: expected printable text", "'\\x07'"]),
    ("escape out of range", 'a: "\\UFFFFFFFF"', ["c:1:", "not YAML"]),
    ("half a surrogate", 'a: "\\ud800"', ["c:1:4: a: expected Unicode text"]),
    ("endless integer", f"a: {'9' * 5000}", ["c:1:4: a: expected a number of sane length"]),
    ("endless version", f"%YAML {'9' * 5000}.1\n---\na: 1\n", ["c:1:", "not YAML"]),
    ("key that is a number", "a: {8: 1}", ["c:1:5: a: expected a name as key, got 8"]),
    ("key that is null", "~: 1", ["c:1:1: expected a name as key, got null"]),
    ("key that is a list", "? [a]\n: 1\n", ["c:1:3: expected a name as key, got a list"]),
    ("deep flow", "a: " + "[" * 100_000, ["c:1:67: nested deeper than 64 levels"]),
    ("deep block", "".join(" " * i + f"k{i}:\n" for i in range(80)), ["nested deeper than 64"]),
    ("too long", "#" * (MAX_CHARACTERS + 1), ["c:1:1: expected a config of at most"]),
]


@pytest.mark.parametrize(("text", "fragments"), [r[1:] for r in ROWS], ids=[r[0] for r in ROWS])
def test_refuses(text: str, fragments: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, name="c")
    for fragment in fragments:
        assert fragment in str(caught.value)


def test_billion_laughs_ends_at_the_first_anchor() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 60)]
    with pytest.raises(ConfigError, match="c:1:5: anchors and aliases"):
        parse_config("\n".join(lines), name="c")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("5e-4", 0.0005),
        ("1e5", 1e5),
        ("1E+5", 1e5),
        ("-2.5e-1", -0.25),
        ("+.5", 0.5),
        ("1.", 1.0),
        ("0.1", 0.1),
        ("-.inf", -math.inf),
        ("12", 12),
        ("-0", 0),
        ("+7", 7),
        ("010", "010"),
        ("0x10", "0x10"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2020-01-01", "2020-01-01"),
        (".", "."),
        ("e5", "e5"),
        ("true", True),
        ("False", False),
        ("on", "on"),
        ("yes", "yes"),
        ("null", None),
        ("~", None),
        ("", None),
        ("'1e-3'", "1e-3"),
        ('"true"', "true"),
        ("=", "="),
        ("é", "é"),
    ],
)
def test_plain_scalars(text: str, value: Any) -> None:
    got = read_source(f"a: {text}", "c").data["a"]
    assert got == value
    assert type(got) is type(value)


def test_nan() -> None:
    assert math.isnan(read_source("a: .nan", "c").data["a"])


def test_places_of_keys_and_values() -> None:
    source = read_source("a:\n  - b: [1, x]\n", "c")
    assert source.place(("a",), key=True) == "c:1:1"
    assert source.place(("a",)) == "c:2:3"
    assert source.place(("a", 0, "b"), key=True) == "c:2:5"
    assert source.place(("a", 0, "b", 1)) == "c:2:12"
    assert source.place(("a", 0, "b", 1, "not", "there")) == "c:2:12"


def test_byte_order_mark_and_windows_lines(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    config = load_config(path)
    assert config.seed == 1
    assert config.output == "runs/c"


def test_bad_utf8_is_located(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(b"seed: 1\n# caf\xe9\n")
    with pytest.raises(ConfigError, match=r"c\.yaml:2:6: expected UTF-8 text, got the byte 0xe9"):
        load_config(path)


@pytest.mark.parametrize(
    ("name", "fragments"),
    [
        ("mnist_lenet.yml", ["No such file", "did you mean", "mnist_lenet.yaml'?"]),
        ("nothing/at/all.yaml", ["No such file"]),
        (".", ["Is a directory"]),
        ("a\0b", ["'a\\x00b' in"]),
    ],
)
def test_unreadable_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, fragments: list[str]
) -> None:
    (tmp_path / "mnist_lenet.yaml").write_text(GOOD)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        load_config(name)
    for fragment in fragments:
        assert fragment.removesuffix(" in") in str(caught.value)


def test_a_file_without_end_is_cut() -> None:
    with pytest.raises(ConfigError, match="expected a config of at most"):
        load_config("/dev/zero")
