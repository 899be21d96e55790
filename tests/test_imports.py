"""The import rules of ARCHITECTURE.md section 2: imports go downwards only."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent / "gpucnn"
BASE = {"errors", "draws", "images", "implements"}
TOWER = BASE | {"runtime", "ops"}
MATHS = {"layers", "losses", "optimizers", "initializers", "schedules"}

# part of gpucnn -> (the parts it may import besides itself, the libraries it may import)
RULES: dict[str, tuple[set[str], set[str]]] = {
    "errors": (set(), set()),
    "implements": (set(), set()),
    "draws": ({"errors"}, {"numpy"}),
    "images": (set(), {"numpy"}),
    "runtime": (BASE, {"numpy"}),
    "ops": (BASE | {"runtime"}, {"numpy", "threadpoolctl"}),
    "initializers": (TOWER, set()),
    "layers": (TOWER | {"initializers"}, set()),
    "losses": (TOWER, set()),
    "optimizers": (TOWER | {"layers"}, set()),
    "schedules": (TOWER, set()),
    "config": (BASE, {"pydantic", "pydantic_core", "yaml"}),
    "reference": (BASE, {"numpy"}),
    "data": (BASE, {"numpy", "PIL"}),
    "training": (TOWER | MATHS, {"numpy", "rich", "safetensors", "matplotlib", "threadpoolctl"}),
    "profiling": (
        TOWER | MATHS | {"training"},
        {"numpy", "rich", "matplotlib", "threadpoolctl", "torch"},
    ),
    "summary": (TOWER | MATHS, set()),
    "traceability": (BASE | {"reference"}, {"yaml"}),
    "explain": (BASE | {"reference", "ops"}, {"numpy", "rich", "matplotlib"}),
    "doctor": (BASE, {"numpy", "threadpoolctl"}),
    "build": (
        TOWER | MATHS | {"config", "data", "training", "profiling", "summary"},
        {"numpy", "rich"},
    ),
}
# A folder below a part -> what it may import besides.
FOLDERS = {"profiling/benchmark": {"reference"}}
# The command line and the package's front door may name every part.
ALL_PARTS = {"cli", "__init__", *RULES}
RULES["cli"] = (ALL_PARTS, {"rich"})
RULES["__main__"] = ({"cli"}, set())
RULES["__init__"] = (ALL_PARTS, set())

FILES = sorted(ROOT.rglob("*.py"))


def part_of(path: Path) -> str:
    """The part of gpucnn that a file belongs to: its folder, or its own name."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported_modules(tree: ast.AST, path: Path) -> list[tuple[int, str]]:
    """Every module that a file imports, as (line, dotted name), also inside functions."""
    package = ("gpucnn", *path.relative_to(ROOT).parts[:-1])
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) + 1 - node.level]) if node.level else ""
            module = ".".join(filter(None, (base, node.module)))
            # `from gpucnn import x` names the part in x.
            names = [f"gpucnn.{a.name}" for a in node.names] if module == "gpucnn" else [module]
            found += [(node.lineno, name) for name in names]
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func).split(".")[-1] in {"import_module", "__import__"}
            and isinstance(node.args[0], ast.Constant)
        ):
            found.append((node.lineno, str(node.args[0].value)))
    return found


def violations(path: Path, source: str) -> list[str]:
    """One line for each import that the rules forbid."""
    part = part_of(path)
    if part not in RULES:
        return [f"{path}: gpucnn.{part} has no rule: give it one in {Path(__file__).name}"]
    parts, libraries = RULES[part]
    parts = parts | FOLDERS.get(path.relative_to(ROOT).parent.as_posix(), set())
    wrong = []
    for line, module in imported_modules(ast.parse(source), path):
        top, _, rest = module.partition(".")
        target = rest.split(".")[0] or "__init__"
        if top == "gpucnn":
            allowed = target in parts or target == part
        elif top == "cupy" or top.startswith(("cupy_", "cupyx")):
            allowed = path.relative_to(ROOT).as_posix() == "runtime/cuda.py"
        else:
            allowed = top in libraries or top in sys.stdlib_module_names
        if not allowed:
            wrong.append(f"{path.relative_to(ROOT.parent)}:{line}: {part} may not import {module}")
    return wrong


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_go_downwards_only(path: Path) -> None:
    assert violations(path, path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("layers/conv2d.py", "import numpy as np"),
        ("layers/conv2d.py", "def f():\n    from numpy import zeros"),
        ("layers/conv2d.py", "from gpucnn.training import Trainer"),
        ("losses.py", "import cupy"),
        ("optimizers.py", "import importlib\nimportlib.import_module('cupy')"),
        ("schedules.py", "import numpy"),
        ("ops/numpy_ops.py", "from gpucnn.layers.base import Layer"),
        ("ops/numpy_ops.py", "from ..layers import base"),
        ("ops/kernel_ops.py", "import cupy"),
        ("runtime/source.py", "import cupyx.profiler"),
        ("config/models.py", "from gpucnn.layers import LAYERS"),
        ("data/loader.py", "from gpucnn.ops import get_ops"),
        ("reference/convolution.py", "from gpucnn import ops"),
        ("training/trainer.py", "from gpucnn.config import Config"),
        ("training/trainer.py", "from gpucnn.data import Loader"),
        ("training/trainer.py", "import gpucnn"),
        ("build.py", "from gpucnn.cli import main"),
        ("errors.py", "import yaml"),
        ("implements.py", "import numpy"),
        ("reference/pooling.py", "from gpucnn.layers import MaxPool2d"),
        ("profiling/work.py", "from gpucnn.reference import dense"),
        ("new_part.py", ""),
    ],
)
def test_a_forbidden_import_is_found(file: str, source: str) -> None:
    assert violations(ROOT / file, source)


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("runtime/cuda.py", "def f():\n    import cupy"),
        ("layers/conv2d.py", "from gpucnn.ops.base import Ops\nimport math"),
        ("ops/numpy_ops.py", "import numpy as np\nfrom .shapes import Conv2dShape"),
        ("training/trainer.py", "from gpucnn.optimizers import SGD\nimport numpy"),
        ("cli/train.py", "from gpucnn import build"),
        ("profiling/benchmark/check.py", "from gpucnn.reference import dense"),
    ],
)
def test_a_downward_import_is_allowed(file: str, source: str) -> None:
    assert violations(ROOT / file, source) == []
