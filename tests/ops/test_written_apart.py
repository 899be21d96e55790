"""An argument that is written shares memory with no other: a GPU might read it before or after."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gpucnn.errors import DeviceError
from gpucnn.ops.base import Ops

SIZE = 8

Updates = dict[str, tuple[Callable[..., None], list[str], dict[str, Any]]]


def updates(ops: Ops) -> Updates:
    """Method -> it, the names of its arenas in their order, and its options."""
    return {
        "sgd_update": (ops.sgd_update, ["values", "grads", "velocity"], {"momentum": 0.9, "lr": 1}),
        "adam_update": (
            ops.adam_update, ["values", "grads", "first", "second"], {"step": 1, "lr": 1}
        ),
        "rmsprop_update": (
            ops.rmsprop_update,
            ["values", "grads", "second", "velocity"],
            {"momentum": 0.9, "lr": 1},
        ),
        "ema_update": (ops.ema_update, ["average", "values"], {"decay": 0.5}),
    }  # fmt: skip


@pytest.mark.parametrize("name", ["sgd_update", "adam_update", "rmsprop_update", "ema_update"])
def test_no_two_arenas_of_an_update(ops: Ops, name: str) -> None:
    method, names, options = updates(ops)[name]
    memory = ops.asarray(np.ones(SIZE * (len(names) + 3), "float32"))
    places = [memory[SIZE * i : SIZE * (i + 1)] for i in range(len(names) + 2)]
    arenas, average, scale = dict(zip(names, places, strict=False)), places[-2], places[-1]
    if name != "ema_update":
        options |= {"average": average, "decay": 0.5, "lr_scale": scale}
    method(*arenas.values(), **options)  # side by side is apart
    before = ops.to_numpy(memory).copy()
    for i, one in enumerate(names):
        for j, other in enumerate(names[:i]):
            with pytest.raises(
                DeviceError, match=r"share memory, but \w+ is written: copy one"
            ) as at:
                method(*(arenas | {one: places[j]}).values(), **options)
            assert {one, other} <= set(str(at.value).replace(",", "").split())
    if name != "ema_update":
        for option, shared in (("average", "values"), ("average", "grads"), ("lr_scale", "values")):
            with pytest.raises(DeviceError, match="share memory"):
                method(*arenas.values(), **(options | {option: arenas[shared]}))
        method(*arenas.values(), **(options | {"lr_scale": arenas["grads"]}))  # both only read
    else:
        assert (ops.to_numpy(memory) == before).all(), "refused before anything was written"


def test_an_overlap_of_one_number(ops: Ops) -> None:
    memory = ops.asarray(np.ones(3 * SIZE, "float32"))
    values, grads = memory[:SIZE], memory[SIZE - 1 : 2 * SIZE - 1]
    with pytest.raises(DeviceError, match="values and grads share memory, but values is written"):
        ops.sgd_update(values, grads, None, lr=1)


def test_running_statistics(ops: Ops) -> None:
    memory = ops.asarray(np.ones(8, "float32"))
    gamma, beta, mean, var = (memory[i : i + 2] for i in (0, 2, 4, 6))
    x = ops.asarray(np.arange(16, dtype="float32").reshape(2, 2, 2, 2))
    ops.batch_norm2d_forward(x, gamma, beta, mean, var, train=True)
    ops.batch_norm2d_forward(x, gamma, gamma, mean, var, train=True)
    ops.batch_norm2d_forward(x, gamma, beta, gamma, gamma, train=False)  # nothing is written
    for given in ((gamma, beta, mean, mean), (gamma, beta, beta, var), (gamma, beta, mean, gamma)):
        with pytest.raises(DeviceError, match=r"running_\w+ and \w+ share memory"):
            ops.batch_norm2d_forward(x, *given, train=True)
