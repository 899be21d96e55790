"""profile.html: what stands in it, that names stay text, and that it works in a browser."""

import re
import shutil
import subprocess
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from gpucnn.profiling import page
from gpucnn.profiling.labels import milliseconds
from gpucnn.profiling.page import to_html
from gpucnn.profiling.profile import Gap, Profile, Wait
from gpucnn.profiling.verdict import HEADLINES, LIMITS, images_per_second, verdict
from tests.profiling.samples import HOSTILE, large, named, predicted, row
from tests.profiling.test_profile_files import profile

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
                None)  # fmt: skip
VOID = {"meta", "link", "img", "input", "source"}


class Page(HTMLParser):
    """Reads the tables by their ids, and notes what is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.tags: list[str] = []
        self.faults: list[str] = []
        self.seen: set[str] = set()
        self._rows: list[list[str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        if tag not in VOID:
            self.tags.append(tag)
        if tag == "table":
            self._rows = self.tables.setdefault(str(dict(attrs)["id"]), [])
        if tag == "tr":
            self._rows.append([])
        if tag in ("th", "td"):
            self._rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if not self.tags or self.tags.pop() != tag:
            self.faults.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if "td" in self.tags or "th" in self.tags:
            self._rows[-1][-1] += data


@pytest.fixture(autouse=True)
def no_pictures(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than all the rest; one test wants it."""
    if "pictures" not in request.node.name:
        monkeypatch.setattr(page, "can_draw", lambda: False)


def test_the_tables_hold_the_profiles_figures() -> None:
    found = profile()
    read = Page(to_html(found))
    assert not read.faults
    assert not read.tags, "every element is closed"
    assert set(read.tables) == {
        "longest", "layers", "methods", "kernels", "calls", "gaps", "memory",
    }  # fmt: skip
    for name in ("layers", "methods", "kernels", "calls"):
        rows = getattr(found, name)
        heads, *lines = read.tables[name]
        assert [line[heads.index("ms")] for line in lines] == [milliseconds(r.ms) for r in rows]
        assert [line[heads.index("share")] for line in lines] == [f"{r.share:.1%}" for r in rows]
    assert len(read.tables["longest"]) == 1 + 5
    assert read.tables["longest"][1][0].startswith(found.kernels[0].kernel)
    assert [line[1] for line in read.tables["gaps"][1:]] == [gap.where for gap in found.gaps]


def test_the_summary_is_on_top() -> None:
    text = to_html(replace(profile(), meta={**profile().meta, "batch_size": 8}))
    for words in ("images a second", "kernels a step", "memory at most", "waiting for data"):
        assert text.index(words) < text.index('id="longest"') < text.index('id="layers"')


def test_names_stay_text() -> None:
    text = to_html(named(HOSTILE))
    read = Page(text)
    assert not read.faults
    assert text.count("<script>") == 1
    assert 'alert("1")' not in text
    assert any(HOSTILE in line[0] for line in read.tables["layers"])
    assert HOSTILE in unescape(re.findall("<h1>(.*)</h1>", text)[0])


def test_the_page_needs_nothing_else() -> None:
    text = to_html(named("https://example.org/x"))
    inside = re.findall(r"""(?:src|srcset|href)="([^"]*)|url\(([^)]*)""", text)
    assert inside
    assert all(link.startswith("data:") for pair in inside for link in pair if link)
    assert "default-src 'none'" in text


def test_a_prediction_is_loud() -> None:
    text = to_html(predicted())
    assert "one; two</dd>" in text, "what it takes for granted"
    assert "0.500 to 7.250 ms</dd>" in text
    assert "<title>PREDICTED: " in text
    assert 'class="warning">PREDICTED for a gpu' in text
    assert "predicted step" in text
    assert "predicted images a second" not in text, "its batch is unknown"
    assert "PREDICTED" not in to_html(profile())


def test_source_lines_stand_with_their_faults() -> None:
    found = predicted()
    read = Page(to_html(found))
    assert not read.faults
    heads, wrong, good = read.tables["lines"]
    assert good[0].startswith("kernels/k.cu:41a < b && c"), "after the fault"
    assert (wrong[heads.index("fault")], good[heads.index("fault")]) == ("uncoalesced", "")
    assert wrong[0] == f"kernels/k.cu:40y[i] = x[32 * i];\n← {HOSTILE}"
    assert wrong[2:5] == ["32.00 sectors", "4.00", "1,000"]
    assert read.tables["traffic"][1] == ["k", "2", "3.00", "1.50", "1.00", "0.500", "2.00"]
    (told,) = [s for s in verdict(found).sentences if "kernels/k.cu:40" in s]
    assert "(uncoalesced): 32.0 sectors a request, 4.0 at best" in told


def test_the_emulators_times_are_told_as_its_own() -> None:
    own = replace(profile(), ceilings=None, meta={**profile().meta, "device": "emulator"})
    assert "They say nothing about a GPU" in to_html(own)


def test_what_the_run_was_is_told() -> None:
    meta = {**profile().meta, "command": "gpucnn profile a.yaml", "commit": "0123abcd",
            "versions": {"numpy": "2.9"}, "batch_size": 8}  # fmt: skip
    text = to_html(replace(profile(), meta=meta))
    for words in ("gpucnn profile a.yaml", "0123abcd", "numpy 2.9", "source"):
        assert f">{words}</dd>" in text
    assert images_per_second(replace(profile(), meta=meta)) == 8 / 2e-3, "of the plain steps"


def test_without_matplotlib_one_line_says_what_to_install() -> None:
    text = to_html(profile())
    assert "No pictures: they need matplotlib, pip install &quot;gpucnn[plot]&quot;." in text
    assert "<img" not in text


def test_with_matplotlib_the_pictures_are_inside() -> None:
    pytest.importorskip("matplotlib", reason='needs matplotlib: pip install ".[dev]"')
    read = Page(to_html(profile()))
    assert not read.faults
    assert {"img", "source"} <= read.seen


def limited(limit: str, ms: float, **changes: object) -> Profile:
    """A step of 10 ms with `ms` of it in one method."""
    top = replace(row("", "", "add", ms, ms / 10), limit=limit)
    return replace(profile(), step_ms=(10.0,), methods=(top,), calls=(),
                   **{"gap_ms": 1.0, "data_wait_ms": 0.0, "waits": (), **changes})  # fmt: skip


@pytest.mark.parametrize("limit", ["compute", "memory", "on-chip", "launch", "host", ""])
def test_a_method_limits_a_step(limit: str) -> None:
    found = verdict(limited(limit, 8.0))
    assert found.headline == HEADLINES[limit]
    share = "80% of the step (8.000 ms) is in methods limited by"
    assert bool(limit) == any(s.startswith(f"{share} {LIMITS.get(limit)}") for s in found.sentences)
    ceiling = "come to 40 % of the measured" in " ".join(found.sentences)
    assert ceiling == (limit in ("compute", "memory"))


def test_gaps_and_waits_limit_a_step() -> None:
    gap = Gap("model.layers.0", "forward", "add", 7.0, 0.7)
    found = verdict(limited("memory", 1.0, gap_ms=8.0, gaps=(gap,)))
    assert found.headline == HEADLINES["gaps"]
    assert "nothing is computed, longest in 0 conv2d forward" in found.sentences[0]
    found = verdict(limited("memory", 1.0, gap_ms=8.0, data_wait_ms=8.0))
    assert found.headline == HEADLINES["waiting for data"]
    assert found.sentences[0].endswith("passes waiting for the next batch.")


def test_a_hidden_synchronisation_is_told() -> None:
    waits = (Wait("model.layers.0", "forward", "to_numpy", 3.0, 3), Wait("", "loss", "x", 1.0, 3))
    (told,) = [s for s in verdict(limited("memory", 8.0, waits=waits)).sentences if "hidden" in s]
    assert told.endswith("the host waits 3.000 ms a step in 0 conv2d forward, to_numpy.")


PROBE = """
<script>
function click(id, name) {
  const heads = [...document.getElementById(id).tHead.rows[0].cells];
  heads.find((head) => head.textContent === name).querySelector("button").click();
}
function column(id, name) {
  const table = document.getElementById(id);
  const at = [...table.tHead.rows[0].cells].findIndex((head) => head.textContent === name);
  return [...table.tBodies[0].rows].filter((row) => !row.hidden)
    .map((row) => row.cells[at].textContent).join("|");
}
const said = [];
click("layers", "ms"); said.push(column("layers", "ms"));
click("layers", "ms"); said.push(column("layers", "ms"));
click("methods", "method"); said.push(column("methods", "method"));
const field = document.getElementById("layers").parentElement.previousElementSibling;
field.value = "BACKWARD"; field.dispatchEvent(new Event("input"));
said.push(column("layers", "pass"));
said.push(document.documentElement.scrollWidth <= window.innerWidth);
said.push(window.innerWidth);
const pre = document.createElement("pre");
pre.id = "said"; pre.textContent = said.join("\\n");
document.body.append(pre);
</script>
"""


@pytest.mark.skipif(CHROMIUM is None, reason="needs a Chromium on PATH: apt install chromium")
def test_the_page_works_in_a_browser(tmp_path: Path) -> None:
    width = 360  # of a small phone
    found = replace(large(60), kernels=profile().kernels, meta=named(HOSTILE).meta)
    said, messages = opened(tmp_path, to_html(found).replace("</body>", PROBE + "</body>"), width)
    assert messages == []
    down, up, methods, passes, fits, wide = said
    values = sorted((r.ms for r in found.layers), reverse=True)
    assert down.split("|") == [milliseconds(ms) for ms in values]
    assert up.split("|") == [milliseconds(ms) for ms in values[::-1]]
    names = [r.method for r in found.methods]
    assert methods.split("|") == sorted(names, key=lambda name: int(name.split("_")[1]))
    assert passes == "|".join(["backward"] * 60)
    assert fits == "true", "the page is no wider than the screen"
    assert wide == str(width)


@pytest.mark.skipif(CHROMIUM is None, reason="needs a Chromium on PATH: apt install chromium")
def test_the_browser_would_tell_of_a_fault(tmp_path: Path) -> None:
    wrong = "<script>missing()</script><img src='https://example.org/x.png'>"
    _, messages = opened(tmp_path, to_html(profile()).replace("</body>", wrong + "</body>"), 800)
    assert any("missing is not defined" in message for message in messages)
    assert any("Content Security Policy" in message for message in messages)


FRAME = """<!doctype html><iframe src="profile.html" style="width: {width}px"></iframe><script>
onload = () => {{
  const inner = document.querySelector("iframe").contentDocument.getElementById("said");
  const pre = document.createElement("pre");
  pre.id = "said"; pre.textContent = inner ? inner.textContent : "";
  document.body.append(pre);
}};
</script>"""
"""A window has a least width; a frame in it has none."""


def opened(folder: Path, html: str, width: int) -> tuple[list[str], list[str]]:
    """What the page's own probe said, and what is on the browser's console."""
    (folder / "profile.html").write_text(html, encoding="utf-8")
    (folder / "frame.html").write_text(FRAME.format(width=width))
    done = subprocess.run(
        [
            str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
            "--enable-logging=stderr", "--window-size=1400,900", "--allow-file-access-from-files",
            f"--user-data-dir={folder / 'browser'}", (folder / "frame.html").as_uri(),
        ],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    (said,) = re.findall(r'<pre id="said">(.*?)</pre>', done.stdout, re.DOTALL)
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return unescape(said).split("\n"), console
