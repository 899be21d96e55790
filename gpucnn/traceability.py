"""From each row and equation of docs/seeds.yaml to the code that implements it and its tests.

Everything is read from the text of the files, and nothing is imported: @implements("A7") in the
package, `// implements A7` in the kernels, @pytest.mark.seed("A7") in the tests.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from gpucnn.errors import ConfigError, DataError

PACKAGE = Path(__file__).parent
GROUPS = {
    "1.0 conventions (C)": "C",
    "1.1 algorithms (A)": "A",
    "1.2 golden numbers (G, P, N, Q, I)": "GPNQI",
    "1.3 errata (E)": "E",
}
KINDS = ("reference", "Ops method", "library", "kernel", "test")
_KERNEL = re.compile(r"^// implements (.+)$")


@dataclass(frozen=True)
class Statement:
    """What a source states: a row (A7) or an equation (S3:2.21)."""

    id: str
    group: str
    source: str
    statement: str
    ours: str = ""
    theirs: str = ""
    wrong: str = ""
    rows: tuple[str, ...] = ()
    """The rows it belongs to."""


@dataclass(frozen=True)
class Place:
    """Code that names an id: `kind` is one of KINDS, `path` counts from the root."""

    id: str
    kind: str
    name: str
    path: str
    line: int


@dataclass(frozen=True)
class Trace:
    """The documents' titles, what they state, and all places that name an id.

    `tests` is False in a wheel, which has none.
    """

    sources: dict[str, str]
    statements: dict[str, Statement]
    places: tuple[Place, ...]
    tests: bool

    def statement(self, id: str) -> Statement:
        """The statement of this id; ConfigError with the nearest ids where there is none."""
        if id in self.statements:
            return self.statements[id]
        near = get_close_matches(id.upper(), self.statements, n=3, cutoff=0.5)
        hint = f"nearest: {', '.join(near)}" if near else "gpucnn equations lists them all"
        raise ConfigError(f"no row or equation has the id {id!r}: {hint}")

    def of(self, id: str, *kinds: str) -> list[Place]:
        """The places of these kinds (default: all) that name the id itself."""
        return [p for p in self.places if p.id == id and p.kind in (kinds or KINDS)]

    def found(self, id: str, *kinds: str) -> list[Place]:
        """`of`, or where nothing names the id the places of the rows it belongs to."""
        through = self.statement(id).rows
        return self.of(id, *kinds) or [place for row in through for place in self.of(row, *kinds)]

    def implemented(self, id: str) -> bool:
        """Whether the package has code for it."""
        return self._has(id, *KINDS[:3])

    def tested(self, id: str) -> bool:
        """Whether a test shows it."""
        return self._has(id, "test")

    def _has(self, id: str, *kinds: str) -> bool:
        """An equation may be a step on the way to its rows; a row must be named itself."""
        return bool(self.found(id, *kinds) if ":" in id else self.of(id, *kinds))

    def groups(self) -> dict[str, list[str]]:
        """The ids by group, in the file's order."""
        result: dict[str, list[str]] = {}
        for statement in self.statements.values():
            result.setdefault(statement.group, []).append(statement.id)
        return result

    def unknown(self) -> list[Place]:
        """The places that name an id which does not exist."""
        return [place for place in self.places if place.id not in self.statements]


def load(package: Path = PACKAGE) -> Trace:
    """Read the statements, the package, the kernels and, in a source tree, the tests.

    `package` is a gpucnn folder, in a source tree or installed. Raises DataError where the list of
    statements is missing, ConfigError where an id is not a literal.
    """
    root = package.parent
    checkout = (root / "docs" / "seeds.yaml").is_file()
    seeds = root / "docs" / "seeds.yaml" if checkout else package / "_docs" / "seeds.yaml"
    kernels = root / "kernels" if checkout else package / "_kernels"
    if not seeds.is_file():
        raise DataError(f"{seeds} is missing: reinstall gpucnn, or install a checkout")
    places = [*_decorated(package, root), *_kernels(kernels, root)]
    if checkout:
        places += _tests(root / "tests", root)
    content = yaml.safe_load(seeds.read_text(encoding="utf-8"))
    titles = {
        name: f"{document['title']} ({document['original']})"
        for name, document in content["sources"].items()
    }
    return Trace(titles, _statements(content, titles), tuple(places), checkout)


def _statements(content: Any, titles: dict[str, str]) -> dict[str, Statement]:
    """The rows and equations of a seeds.yaml."""
    result = {}
    for id, entry in content["rows"].items():
        group = next(name for name, letters in GROUPS.items() if id[0] in letters)
        result[id] = Statement(id, group, **{**entry, "rows": tuple(entry.get("rows", ()))})
    for id, entry in content["equations"].items():
        name, _, place = id.partition(":")
        numbered = name not in {"S0", "S1"} and id != "S3:3"
        source = f"{titles[name]}, {'equation' if numbered else 'section'} {place}"
        rows = tuple(entry["rows"])
        result[id] = Statement(id, f"equations of {name}", source, **{**entry, "rows": rows})
    return result


def _decorated(package: Path, root: Path) -> Iterator[Place]:
    for path, tree in _parsed(package, root, "@implements("):
        for name, node in _definitions(tree):
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "implements":
                    for id in _literals(decorator, path):
                        yield Place(id, _kind(path), name, path, node.lineno)


def _kind(path: str) -> str:
    part = path.split("/")[1]
    return {"reference": "reference", "ops": "Ops method"}.get(part, "library")


def _kernels(folder: Path, root: Path) -> Iterator[Place]:
    for path in sorted(folder.glob("*.cu")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if named := _KERNEL.match(line):
                for id in named[1].split():
                    where = path.relative_to(root).as_posix()
                    yield Place(id, "kernel", path.stem, where, number)


def _tests(folder: Path, root: Path) -> Iterator[Place]:
    for path, tree in _parsed(folder, root, "pytest.mark.seed("):
        owned = set()
        for name, node in _definitions(tree):
            for call in (call for mark in node.decorator_list for call in _marks(mark)):
                owned.add(call)
                if not name.rpartition(".")[2].lower().startswith("test"):
                    raise ConfigError(f"{path}:{node.lineno}: {name} is marked, but it is no test")
                for id in _literals(call, path):
                    yield Place(id, "test", name, path, node.lineno)
        # What is left stands in `pytestmark`, or in parameters that have a name of their own.
        for call in _marks(tree):
            if call not in owned:
                for id in _literals(call, path):
                    yield Place(id, "test", "(the file)", path, call.lineno)


def _marks(tree: ast.AST) -> list[ast.Call]:
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and ast.unparse(node.func) == "pytest.mark.seed"
    ]


def _parsed(folder: Path, root: Path, needle: str) -> Iterator[tuple[str, ast.Module]]:
    """(path from the root, tree) of the Python files that hold the text."""
    for path in sorted(folder.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if needle in text:
            yield path.relative_to(root).as_posix(), ast.parse(text)


Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def _definitions(tree: ast.AST, prefix: str = "") -> Iterator[tuple[str, Definition]]:
    """Functions and classes with their dotted names, methods after their class."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Definition):
            yield prefix + node.name, node
            yield from _definitions(node, f"{prefix}{node.name}.")


def _literals(call: ast.Call, path: str) -> Sequence[str]:
    ids: list[Any] = [getattr(arg, "value", None) for arg in call.args]
    if not ids or call.keywords or not all(isinstance(id, str) for id in ids):
        raise ConfigError(
            f"{path}:{call.lineno}: {ast.unparse(call)} must name its ids as literal strings, "
            'such as "A7"'
        )
    return ids
