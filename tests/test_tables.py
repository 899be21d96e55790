"""The figures in README.md and configs/ are those of benchmarks/results/, and no others."""

import subprocess
import sys
from pathlib import Path

from tests.script_modules import load_script

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "scripts" / "update_tables.py"


def test_tables_are_up_to_date() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT), "--check"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_changed_figure_changes_readme_and_config() -> None:
    script = load_script("update_tables")
    results = script.figures()
    run = dict(results["train digits_lenet"]["figures"], test_accuracy=0.1234)
    changed = {**results, "train digits_lenet": {**results["train digits_lenet"], "figures": run}}
    text = (ROOT / "README.md").read_text()
    assert "12.34%" in script.readme(text, changed, {})
    path = ROOT / "configs" / "digits_lenet.yaml"
    assert script.config(path, changed) != path.read_text()
    assert "# accuracy: not measured\n" in script.config(path, {})
