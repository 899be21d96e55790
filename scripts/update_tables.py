"""Write the figures of benchmarks/results/ into README.md, docs/ and the first lines of configs/.

    python scripts/update_tables.py [--check]

With --check nothing is written, and the exit status is 1 where a table is not up to date.
"""

import argparse
import io
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rich.console import Console

from gpucnn.profiling.files import read_profile
from gpucnn.profiling.tables import print_profile

ROOT = Path(__file__).parent.parent
# Everything in configs/ but the table of shapes.
CONFIGS = sorted(set((ROOT / "configs").glob("*.yaml")) - {ROOT / "configs/benchmark_shapes.yaml"})
PROFILING = ROOT / "docs" / "profiling.md"
OUTPUT = re.compile(r"<!-- output: (\S+) \| ([^|\n]+) \| (\d+) -->\n.*?<!-- end -->", re.DOTALL)
"""A stored profile, how a line of what `gpucnn profile` prints begins, lines from there on."""
RESULTS = ROOT / "benchmarks" / "results"
Results = dict[str, dict[str, Any]]
"""Entries by section."""
NOT_MEASURED = "accuracy: not measured"
MEASURED = re.compile(r"^# (cpu, .*|accuracy: not measured)$")


def figures() -> Results:
    """Each section's newest entry over all result files of the cpu, with the name of its file."""
    return {section: entry for section, entry in entries() if "gpu" not in entry["machine"]}


def gpu_figures() -> dict[str, Results]:
    """The same of each GPU, by its name."""
    found: dict[str, Results] = {}
    for section, entry in entries():
        if "gpu" in entry["machine"]:
            found.setdefault(entry["machine"]["gpu"], {})[section] = entry
    return found


def entries() -> list[tuple[str, dict[str, Any]]]:
    """What `record` of benchmarks/machine.py wrote: sections with their entries, newest last."""
    found = []
    for path in sorted(RESULTS.glob("*.json"), key=lambda path: path.stem[-len("2026-01-01") :]):
        for section, entry in json.loads(path.read_text()).items():
            if isinstance(entry, dict) and {"machine", "figures"} <= set(entry):
                found.append((section, {**entry, "file": path.name}))
    return found


def configs_table(results: Results) -> list[str]:
    rows = ["| config | parameters | epochs | time | test accuracy |", "|---|---|---|---|---|"]
    for path in CONFIGS:
        name = f"[{path.stem}](configs/{path.name})"
        run = results.get(f"train {path.stem}", {}).get("figures")
        if run is None:
            rows.append(f"| {name} | | | | not measured |")
        else:
            rows.append(
                f"| {name} | {run['parameters']:,} | {run['epochs']} | {duration(run['seconds'])}"
                f" | {run['test_accuracy']:.2%} |"
            )
    return [*rows, *machines(results, "train ")]


def convolutions_table(results: Results) -> list[str]:
    if "convolutions" not in results:
        return ["Not measured."]
    measured = results["convolutions"]["figures"]
    rows = ["| convolution | forward | dx | dw |", "|---|---|---|---|"]
    shapes = dict.fromkeys(row["shape"] for row in measured["rows"])
    for shape in shapes:
        ratios = [f"{row['ratio']:.2f}" for row in measured["rows"] if row["shape"] == shape]
        rows.append(f"| {shape} | {' | '.join(ratios)} |")
    rows.append(f"| geometric mean of all | {measured['geometric_mean_ratio']:.2f} | | |")
    return [*rows, *machines(results, "convolutions")]


def steps_table(results: Results) -> list[str]:
    if "training_steps" not in results:
        return ["Not measured."]
    rows = ["| training step | gpucnn | PyTorch | ratio | peak memory |", "|---|---|---|---|---|"]
    for row in results["training_steps"]["figures"]["rows"]:
        rows.append(
            f"| {row['config']}, batch {row['batch']} | {row['gpucnn_ms']:.1f} ms"
            f" | {row['torch_ms']:.1f} ms | {row['ratio']:.2f} | {row['peak_mib']:.0f} MiB |"
        )
    return [*rows, *machines(results, "training_steps")]


def gpu_steps_table(gpus: dict[str, Results]) -> list[str]:
    """Milliseconds, PyTorch's with their ratio to gpucnn's graph in brackets."""
    columns = ("eager_fp32", "eager_tf32", "graph_fp32", "graph_tf32")
    rows = [
        "| GPU, training step | gpucnn, eager | as a graph | PyTorch, eager | with TF32"
        " | as a graph | with TF32 |",
        "|---|---|---|---|---|---|---|",
    ]
    measured = {gpu: r["training_steps"] for gpu, r in gpus.items() if "training_steps" in r}
    for gpu, entry in measured.items():
        for row in entry["figures"]["rows"]:
            cells = [f"{row[f'gpucnn_{how}_ms']:.3f}" for how in ("eager", "graph")]
            for ratio in (row.get(f"torch_{column}_ratio") for column in columns):
                ms = None if ratio is None else ratio * row["gpucnn_graph_ms"]
                cells.append("" if ms is None else f"{ms:.3f} ({ratio:.2f})")
            rows.append(f"| {gpu}, {row['config']}, batch {row['batch']} | {' | '.join(cells)} |")
    return [*rows, *files(measured.values())] if measured else ["Not measured."]


def accuracy_table(results: Results, gpus: dict[str, Results]) -> list[str]:
    """Median seconds of training, or how many of the runs came so far."""
    rows, measured = [], []
    for where, found in {"cpu": results, **gpus}.items():
        for section in sorted(name for name in found if name.startswith("time_to_accuracy ")):
            measured.append(found[section])
            for by, run in found[section]["figures"]["runs"].items():
                times = {key: value for key, value in run.items() if key != "curves"}
                head = "".join(f" {accuracy} |" for accuracy in times)
                cells = "".join(f" {reached(value)} |" for value in times.values())
                name = section.removeprefix("time_to_accuracy ")
                rows.append(f"| {name} | {where} | {by.replace('torch_', 'PyTorch, ')} |{cells}")
    if not rows:
        return ["Not measured."]
    columns = "---|" * head.count("|")
    return [f"| config | on | by |{head}", f"|---|---|---|{columns}", *rows, *files(measured)]


def reached(value: dict[str, Any]) -> str:
    times, middle = value["seconds"], value["median_seconds"]
    if middle is not None:
        return f"{middle:.1f} s" if middle >= 10 else f"{middle:.3f} s"
    return f"{sum(time is not None for time in times)} of {len(times)} runs"


def files(measured: Iterable[dict[str, Any]]) -> list[str]:
    """A line that says which files the entries are in."""
    names = sorted({entry["file"] for entry in measured})
    return ["", f"From {', '.join(f'[{name}](benchmarks/results/{name})' for name in names)}."]


def machines(results: Results, prefix: str) -> list[str]:
    """A line that says where the sections' figures were measured, and the files they are in."""
    entries = [entry for section, entry in results.items() if section.startswith(prefix)]
    lines = {
        f"{entry['machine']['processor']}, {entry['machine']['threads']} threads, NumPy"
        f" {entry['machine']['numpy']}"
        + (f", PyTorch {entry['machine']['torch']}" if not prefix.startswith("train ") else "")
        + f" ([{entry['file']}](benchmarks/results/{entry['file']}))"
        for entry in entries
    }
    return ["", *(f"Measured on: {line}." for line in sorted(lines))]


def duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def readme(text: str, results: Results, gpus: dict[str, Results]) -> str:
    tables = {
        "configs": configs_table(results),
        "convolutions": convolutions_table(results),
        "training_steps": steps_table(results),
        "gpu_training_steps": gpu_steps_table(gpus),
        "time_to_accuracy": accuracy_table(results, gpus),
    }
    for name, table in tables.items():
        begin, end = f"<!-- table: {name} -->\n", "<!-- end -->"
        before, rest = text.split(begin)
        text = before + begin + "\n".join(table) + "\n" + end + rest.split(end, 1)[1]
    return text


def config(path: Path, results: Results) -> str:
    """The file with its second line saying what was measured."""
    lines = path.read_text().splitlines(keepends=True)
    entry = results.get(f"train {path.stem}")
    line = NOT_MEASURED
    if entry:
        run, threads = entry["figures"], entry["machine"]["threads"]
        line = (
            f"{run['device']}, {threads} threads: {run['epochs']} epochs in"
            f" {duration(run['seconds'])}, test accuracy {run['test_accuracy']:.2%}"
        )
    rest = lines[2:] if MEASURED.match(lines[1].rstrip("\n")) else lines[1:]
    return "".join([lines[0], f"# {line}\n", *rest])


def profiling(text: str) -> str:
    """The document with its outputs as they are printed from the stored profiles."""

    def output(match: re.Match[str]) -> str:
        file, beginning, count = match.groups()
        lines = printed(ROOT / "benchmarks" / "results" / file)
        first = next((i for i, line in enumerate(lines) if line.startswith(beginning)), None)
        if first is None:
            raise SystemExit(f"{PROFILING.name}: no line of {file} begins with {beginning!r}")
        chosen = "\n".join(line.rstrip() for line in lines[first : first + int(count)])
        head = f"<!-- output: {file} | {beginning} | {count} -->"
        return f"{head}\n```text\n{chosen}\n```\n<!-- end -->"

    return OUTPUT.sub(output, text)


def printed(path: Path) -> list[str]:
    """What `gpucnn profile` prints of it on a terminal of 100 columns."""
    out = io.StringIO()
    console = Console(file=out, width=100, force_terminal=True, color_system=None)
    print_profile(console, read_profile(path))
    return out.getvalue().splitlines()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, only compare")
    args = parser.parse_args()
    results = figures()
    wanted = {ROOT / "README.md": readme((ROOT / "README.md").read_text(), results, gpu_figures())}
    wanted[PROFILING] = profiling(PROFILING.read_text())
    wanted |= {path: config(path, results) for path in CONFIGS}
    stale = [path for path, text in wanted.items() if path.read_text() != text]
    for path in stale:
        print(f"{'not up to date' if args.check else 'updated'}: {path.relative_to(ROOT)}")
        if not args.check:
            path.write_text(wanted[path])
    return 1 if args.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
