"""The figures in README.md and configs/ are those of benchmarks/results/, and no others."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "scripts" / "update_tables.py"


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("update_tables", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_tables_are_up_to_date() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT), "--check"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_changed_figure_changes_readme_and_config() -> None:
    script = _script()
    results = script.figures()
    run = dict(results["train digits_lenet"]["figures"], test_accuracy=0.1234)
    changed = {**results, "train digits_lenet": {**results["train digits_lenet"], "figures": run}}
    text = (ROOT / "README.md").read_text()
    assert "12.34%" in script.readme(text, changed)
    path = ROOT / "configs" / "digits_lenet.yaml"
    assert script.config(path, changed) != path.read_text()
    assert "# accuracy: not measured\n" in script.config(path, {})
