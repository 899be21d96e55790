"""Optimizers against PyTorch's, step by step."""

import pytest

from gpucnn.ops.base import Ops
from gpucnn.optimizers import OPTIMIZERS
from tests.oracles.tolerance import bound
from tests.test_optimizers import OPTIONS, gradients, parameters, values

# Of the whole file: to skip a test on cuda is a failure under --require-gpu.
torch = pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")

STEPS = 20


@pytest.mark.parametrize(("kind", "options", "torch_name", "torch_options"), OPTIONS)
def test_steps_are_those_of_torch(
    ops: Ops, kind: str, options: dict, torch_name: str, torch_options: dict
) -> None:
    params = parameters(ops)
    theirs = [torch.nn.Parameter(torch.from_numpy(value)) for value in values(ops, params)]
    ours = OPTIMIZERS[kind](lr=0.05, **options)
    ours.bind(params, ops)
    other = getattr(torch.optim, torch_name)(theirs, lr=0.05, **torch_options)
    for step in range(STEPS):
        lr = 0.05 / (step + 1)
        other.param_groups[0]["lr"] = lr
        for mine, their, grad in zip(params, theirs, gradients(step), strict=True):
            mine.set_grad(ops.asarray(grad))
            their.grad = torch.from_numpy(grad)
        ours.step(lr)
        other.step()
    assert ours.iterations == STEPS
    for mine, their in zip(values(ops, params), theirs, strict=True):
        # A step has at most 16 roundings, of numbers no larger than 8: values of at most 4 and
        # steps below 2 (lr · g/√(1 - alpha), the first of RMSprop).
        assert abs(mine - their.detach().numpy()).max() <= bound(16 * STEPS, 8, "float64")
