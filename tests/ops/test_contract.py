"""The contract against ARCHITECTURE.md section 3, and every device against the contract."""

import inspect
import re
from pathlib import Path

import gpucnn
from gpucnn.ops.base import Ops
from gpucnn.ops.contract.arrays import ArrayOps

PAGE = Path(__file__).resolve().parents[2] / "ARCHITECTURE.md"
# What the table writes as "tanh likewise" and `leaky_relu_*`, and the two questions about arrays.
IMPLIED = {
    "tanh_forward",
    "tanh_backward",
    "leaky_relu_forward",
    "leaky_relu_backward",
    "is_array",
    "not_an_array",
}


def table() -> dict[str, str]:
    """Name -> argument list of each method in the table of section 3."""
    section = PAGE.read_text(encoding="utf-8").split("## 3. The Ops contract")[1].split("\n## ")[0]
    rows = "\n".join(line for line in section.splitlines() if line.startswith("| `"))
    return dict(re.findall(r"`(\w+)\(([^`]*)\)`", rows))


def public(cls: type) -> set[str]:
    return {
        name
        for name, member in inspect.getmembers(cls, inspect.isfunction)
        if not name.startswith("_")
    }


def parameters(function: object) -> list[tuple[str, object, object]]:
    signature = inspect.signature(function)  # type: ignore[arg-type]
    return [(p.name, p.kind, p.default) for p in signature.parameters.values() if p.name != "self"]


def test_the_methods_are_those_of_the_page() -> None:
    documented = table()
    assert len(documented) > 30, "the table was not found"
    assert public(Ops) == set(documented) | IMPLIED


def test_the_arguments_are_those_of_the_page() -> None:
    compared = 0
    for name, arguments in table().items():
        if "…" in arguments:
            continue
        names: dict[str, object] = {}
        exec(f"def stub({arguments}): ...", names)
        assert parameters(getattr(Ops, name)) == parameters(names["stub"]), name
        compared += 1
    assert compared > 30


def test_the_abbreviated_arguments() -> None:
    """Of the methods that the table writes with an ellipsis."""
    arguments = {name: [p[0] for p in parameters(getattr(Ops, name))] for name in public(Ops)}
    draw = ["x", "rate", "seed", "layer", "step"]
    assert arguments["dropout2d_forward"] == draw
    assert arguments["drop_block2d_forward"] == [*draw, "block_size"]
    assert arguments["leaky_relu_forward"] == ["x", "negative_slope"]
    assert arguments["leaky_relu_backward"] == ["dy", "x", "negative_slope"]
    assert arguments["tanh_forward"] == arguments["sigmoid_forward"] == ["x"]
    assert arguments["tanh_backward"] == arguments["sigmoid_backward"] == ["dy", "y"]
    for method in ("sgd_update", "adam_update", "rmsprop_update"):
        assert arguments[method][:2] == ["values", "grads"]
        assert {"lr", "weight_decay", "lr_scale"} <= set(arguments[method])


def test_every_device_keeps_the_contracts_checks(ops: Ops) -> None:
    """It implements all that is abstract, and overrides no method that checks arguments."""
    assert not inspect.isabstract(type(ops))
    for name in public(Ops) - public(ArrayOps):
        assert getattr(type(ops), name) is getattr(Ops, name), name
    assert public(type(ops)) == public(Ops), "a device offers the contract and nothing else"


def test_every_public_method_says_what_it_does() -> None:
    for name in public(Ops):
        assert inspect.getdoc(getattr(Ops, name)), name


def test_get_ops_gives_the_device_asked_for(ops: Ops) -> None:
    assert gpucnn.get_ops(ops.name).name == ops.name
