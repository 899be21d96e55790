"""docs/equations.md and docs/errata.md are what docs/seeds.yaml and the code make of them."""

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from gpucnn.traceability import Trace, load
from tests.script_modules import load_script

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "scripts" / "update_equations.py"
PAGES = {name: (ROOT / "docs" / name).read_text() for name in ("equations.md", "errata.md")}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("update_equations")


@pytest.fixture(scope="module")
def trace() -> Trace:
    return load()


def test_the_pages_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--check"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}: run python {SCRIPT.name}"


def test_a_change_of_the_list_or_of_the_code_makes_them_stale(
    script: ModuleType, trace: Trace, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert all(script.pages(trace)[ROOT / "docs" / name] == text for name, text in PAGES.items())
    monkeypatch.setattr(script, "source_of", lambda place: ["other code"])
    assert script.pages(trace)[ROOT / "docs/equations.md"] != PAGES["equations.md"]
    monkeypatch.undo()
    changed = {**trace.statements}
    changed["E1"] = type(changed["E1"])(**{**vars(changed["E1"]), "wrong": "Nothing."})
    other = type(trace)(trace.sources, changed, trace.places, trace.tests)
    assert script.pages(other)[ROOT / "docs/errata.md"] != PAGES["errata.md"]


def test_every_equation_has_an_entry_with_both_notations(script: ModuleType, trace: Trace) -> None:
    page = PAGES["equations.md"]
    for id, statement in trace.statements.items():
        if ":" in id:
            (entry,) = re.findall(
                rf"^### {re.escape(script.title(id))}\n(.*?)(?=^##|^<!-- end)", page, re.M | re.S
            )
            assert f"```math\n{statement.ours}\n```" in entry
            assert f"```math\n{statement.theirs}\n```" in entry


def test_every_row_is_in_a_table_and_every_erratum_names_its_test(trace: Trace) -> None:
    for id, statement in trace.statements.items():
        if id[0] == "E":
            (line,) = re.findall(rf'^\| <a name="{id.lower()}"></a>.*$', PAGES["errata.md"], re.M)
            assert re.search(rf"\[{id.lower()}_\w+\]\(\.\./tests/seeds/test_errata_\w+\.py\)", line)
        elif ":" not in id:
            assert f"| {id} | {statement.statement} |" in PAGES["equations.md"]


@pytest.mark.parametrize("name", PAGES)
def test_every_link_leads_somewhere(name: str, script: ModuleType) -> None:
    headings = {
        page: {script.anchor(heading) for heading in re.findall(r"^#+ (.*)$", text, re.M)}
        | set(re.findall(r'<a name="(\w+)">', text))
        for page, text in PAGES.items()
    }
    prose = re.sub(r"^```.*?^```", "", PAGES[name], flags=re.M | re.S)
    targets = re.findall(r"\]\(([^)]+)\)", prose)
    assert len(targets) > 30
    for target in targets:
        path, _, place = target.partition("#")
        assert (ROOT / "docs" / path).exists(), target
        assert not place or place in headings[path or name], target


def test_the_code_shown_is_the_reference_without_its_docstring(
    script: ModuleType, trace: Trace
) -> None:
    place = trace.of("A8", "reference")[0]
    body = script.source_of(place)
    assert body[0] == "def conv2d_backward_bias(dy: ArrayLike) -> Array:"
    assert body[-1] == "    return db"
    assert not any('"""' in line or line.startswith("@") for line in body)


def test_tex_closes_what_it_opens(trace: Trace) -> None:
    for id, statement in trace.statements.items():
        for tex in (statement.ours, statement.theirs):
            assert tex.count("{") - tex.count(r"\{") == tex.count("}") - tex.count(r"\}"), id
            assert len(re.findall(r"\\left\b", tex)) == len(re.findall(r"\\right\b", tex)), id
            for name in set(re.findall(r"\\begin{(\w+)}", tex)):
                assert tex.count(rf"\begin{{{name}}}") == tex.count(rf"\end{{{name}}}"), id
