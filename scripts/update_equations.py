"""Write docs/equations.md and docs/errata.md from docs/seeds.yaml and the code that it leads to.

    python scripts/update_equations.py [--check]

What stands between <!-- equations: S0 -->, or rows or errata, and <!-- end --> is generated.
With --check nothing is written, and the exit status is 1 where a page is not up to date.
"""

import argparse
import ast
import re
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

from gpucnn.traceability import Place, Statement, Trace, load

ROOT = Path(__file__).resolve().parent.parent
LONGEST = 30
"""Lines of code that a page shows; of a longer function it has the link alone."""


def equations(trace: Trace, source: str, shown: dict[tuple[str, str], str]) -> list[str]:
    """The equations of a source; `shown` has the code that the page has already, by its place."""
    lines: list[str] = []
    for statement in trace.statements.values():
        if statement.id.startswith(f"{source}:"):
            lines += [f"### {title(statement.id)}", "", statement.statement, ""]
            lines += ["```math", statement.ours, "```", "", "In the source:", ""]
            lines += ["```math", statement.theirs, "```", ""]
            lines += code(trace, statement, shown)
            lines += [erratum(trace.statements[row]) for row in statement.rows if row[0] == "E"]
            lines += [*chain(trace, statement), ""]
    return lines[:-1]


def title(id: str) -> str:
    source, _, place = id.partition(":")
    if source in {"S0", "S1"} or id == "S3:3":
        return f"{source} section {place}"
    return f"{source} {place}" if place.startswith("BP") else f"{source} ({place})"


def code(trace: Trace, statement: Statement, shown: dict[tuple[str, str], str]) -> list[str]:
    """The reference's functions that name the equation, each once on the page."""
    lines = []
    for place in trace.of(statement.id, "reference"):
        key = (place.path, place.name)
        body = source_of(place)
        if key in shown:
            lines += [f"Code: {link(place)}, shown at {shown[key]}.", ""]
        elif len(body) > LONGEST:
            lines += [f"Code: {link(place)}.", ""]
        else:
            shown[key] = f"[{title(statement.id)}](#{anchor(title(statement.id))})"
            lines += [f"{link(place)}:", "", "```python", *body, "```", ""]
    return lines


def source_of(place: Place) -> list[str]:
    """A function's lines without its decorators and docstring."""
    text, tree = parsed(ROOT / place.path)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.lineno == place.line:
            documented = ast.get_docstring(node) is not None
            first = node.body[0]
            head = text[node.lineno - 1 : first.lineno - 1]
            rest = (first.end_lineno or 0) if documented else first.lineno - 1
            return head + text[rest : node.end_lineno]
    raise LookupError(f"{place.path}:{place.line} is no function")


@cache
def parsed(path: Path) -> tuple[list[str], ast.Module]:
    """A file's lines and its tree."""
    text = path.read_text(encoding="utf-8")
    return text.splitlines(), ast.parse(text)


def erratum(statement: Statement) -> str:
    return (
        f"> [{statement.id}](errata.md#{statement.id.lower()}): {statement.wrong}"
        f" **Right:** {statement.statement}\n"
    )


def chain(trace: Trace, statement: Statement) -> list[str]:
    """From the rows to the Ops methods, kernels and tests."""
    rows = [row for row in statement.rows if row[0] != "E"]
    parts = [f"rows {', '.join(rows)}"] if rows else []
    for kind, what in (("Ops method", "Ops"), ("kernel", "kernels"), ("test", "tests")):
        places = trace.found(statement.id, kind)
        if kind == "test":
            found = [
                f"[{Path(path).name}](../{path})" for path in dict.fromkeys(p.path for p in places)
            ]
        else:
            found = [link(place) for place in unique(places)]
        if found:
            parts.append(f"{what} {', '.join(found)}")
    line = "; ".join(parts)
    return [f"{line[0].upper()}{line[1:]}."]


def unique(places: list[Place]) -> list[Place]:
    return list({(place.path, place.name): place for place in places}.values())


def link(place: Place) -> str:
    return f"[`{place.name.rpartition('.')[2]}`](../{place.path})"


def anchor(heading: str) -> str:
    """GitHub's: lower case, without punctuation, hyphens for spaces."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def errata(trace: Trace, source: str) -> list[str]:
    """The table of a source's errata."""
    lines = ["| | where | what is wrong | what is right | shown by |", "|---|---|---|---|---|"]
    for statement in trace.statements.values():
        if statement.wrong and statement.source.startswith(source):
            # "S0 section 3" or "S4, conv_backward": what follows the document's name.
            where = statement.source[len(source) :].lstrip(", ")
            tests = ", ".join(
                f"[{place.name.removeprefix('test_')}](../{place.path})"
                for place in unique(trace.of(statement.id, "test"))
                if "/test_errata_" in place.path
            )
            cells = (f'<a name="{statement.id.lower()}"></a>{statement.id}', where)
            cells += (statement.wrong, statement.statement, tests)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return lines


def rows(trace: Trace, letters: str) -> list[str]:
    """The table of the rows whose ids begin with one of the letters."""
    lines = ["| | states | by |", "|---|---|---|"]
    for statement in trace.statements.values():
        if statement.id[0] in letters and ":" not in statement.id:
            lines.append(f"| {statement.id} | {statement.statement} | {statement.source} |")
    return lines


def filled(text: str, kind: str, part: Callable[[str], list[str]]) -> str:
    """The page with every generated part made new."""

    def make(match: re.Match[str]) -> str:
        return f"{match[1]}\n" + "\n".join(part(match[2])) + "\n<!-- end -->"

    return re.sub(rf"(<!-- {kind}: (\w+) -->)\n.*?<!-- end -->", make, text, flags=re.DOTALL)


def pages(trace: Trace) -> dict[Path, str]:
    """Each page's path and what it should hold."""
    shown: dict[tuple[str, str], str] = {}
    parts: dict[str, Callable[[str], list[str]]] = {
        "equations": lambda source: equations(trace, source, shown),
        "rows": lambda letters: rows(trace, letters),
        "errata": lambda source: errata(trace, source),
    }
    wanted = {}
    for path in (ROOT / "docs" / "equations.md", ROOT / "docs" / "errata.md"):
        text = path.read_text(encoding="utf-8")
        for kind, part in parts.items():
            text = filled(text, kind, part)
        wanted[path] = text
    return wanted


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, only compare")
    args = parser.parse_args()
    wanted = pages(load())
    stale = [path for path, text in wanted.items() if path.read_text(encoding="utf-8") != text]
    for path in stale:
        print(f"{'not up to date' if args.check else 'updated'}: {path.relative_to(ROOT)}")
        if not args.check:
            path.write_text(wanted[path], encoding="utf-8")
    return 1 if args.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
