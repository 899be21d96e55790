"""Every row and equation of docs/seeds.yaml has code and a test, and every id named exists."""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest

import gpucnn.reference
from gpucnn.traceability import PACKAGE, Trace, load

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def trace() -> Trace:
    return load()


@pytest.mark.parametrize("letters", ["C", "A", "GPNQI", "E"])
def test_every_row_is_there(trace: Trace, letters: str) -> None:
    numbers = {"C": 10, "A": 30, "E": 30, "G": 9, "P": 2, "N": 3, "Q": 1, "I": 1}
    wanted = {f"{letter}{i}" for letter in letters for i in range(1, numbers[letter] + 1)}
    assert {id for id in trace.statements if id[0] in letters} == wanted


def test_every_numbered_equation_is_there(trace: Trace) -> None:
    numbered = {
        "S2": [f"BP{i}" for i in range(1, 5)],
        "S3": [f"{part}.{i}" for part, last in ((1, 4), (2, 30), (4, 6), (5, 3))
               for i in range(1, last + 1)],
        "S4": [*(f"{i}" for i in range(1, 20)), "7.1", "7.2"],
    }  # fmt: skip
    wanted = {f"{source}:{place}" for source, places in numbered.items() for place in places}
    assert wanted <= set(trace.statements)


def test_no_id_is_listed_twice() -> None:
    lines = (ROOT / "docs/seeds.yaml").read_text().splitlines()
    ids = [line.strip() for line in lines if re.fullmatch(r'  ("S\d:\S+"|[A-Z]\d+):', line)]
    assert len(ids) == len(set(ids)) == len(load().statements)


def test_an_equation_belongs_to_rows_that_exist(trace: Trace) -> None:
    for statement in trace.statements.values():
        assert set(statement.rows) <= set(trace.statements), statement.id


def test_an_erratum_says_what_is_wrong_and_an_equation_has_both_notations(trace: Trace) -> None:
    for id, statement in trace.statements.items():
        assert bool(statement.wrong) == (id[0] == "E"), id
        assert ":" not in id or (statement.ours and statement.theirs and statement.rows), id


def test_every_row_and_equation_is_implemented(trace: Trace) -> None:
    assert [id for id in trace.statements if not trace.implemented(id)] == []


def test_every_row_and_equation_is_tested(trace: Trace) -> None:
    assert [id for id in trace.statements if not trace.tested(id)] == []


def test_every_kernel_of_a_source_leads_to_its_ops_method(trace: Trace) -> None:
    """A kernel and the Ops method of its name name the same ids."""
    methods: dict[str, set[str]] = {}
    for place in trace.places:
        if place.kind in ("Ops method", "kernel"):
            name = place.name.rpartition(".")[2]
            methods.setdefault(f"{place.kind} {name}", set()).add(place.id)
    kernels = {name.split()[1] for name in methods if name.startswith("kernel ")}
    assert {"conv2d_backward_weight", "max_pool2d_forward", "sgd_update"} <= kernels
    for name in kernels:
        assert methods[f"kernel {name}"] == methods[f"Ops method {name}"], name


def test_every_id_that_code_and_tests_name_exists(trace: Trace) -> None:
    assert trace.unknown() == []


def test_what_is_read_from_the_text_is_what_the_reference_carries(trace: Trace) -> None:
    read = {(p.path, p.name, p.id) for p in trace.places if p.kind == "reference"}
    carried = set()
    for module in pkgutil.iter_modules(gpucnn.reference.__path__, "gpucnn.reference."):
        for name, item in inspect.getmembers(importlib.import_module(module.name)):
            for id in getattr(item, "__implements__", ()):
                path = Path(inspect.getsourcefile(item) or "").relative_to(PACKAGE.parent)
                carried.add((path.as_posix(), name, id))
    assert read == carried
