"""PyTorch as if a GPU were there, with the host in its place: `open_gpu()`, for the process.

What asks for device "cuda" gets the host's memory. Streams do nothing, and a graph is the work
itself, done when it is launched: benchmarks/torch_steps.py makes both in a function of a few lines.
"""

from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class on_host(TorchFunctionMode):
    """Every "cuda" among the arguments of PyTorch's functions means "cpu"."""

    def __torch_function__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        args = [_place(a) for a in args]
        return function(*args, **{key: _place(a) for key, a in (kwargs or {}).items()})


def _place(value: Any) -> Any:
    of_gpu = value == "cuda" if isinstance(value, str) else isinstance(value, torch.device)
    return "cpu" if of_gpu else value


def open_gpu() -> None:
    """From here on, until the process ends."""
    import torch_steps

    torch.cuda.is_available = lambda: True
    torch.cuda.set_device = lambda device: None
    torch.cuda.synchronize = lambda: None
    torch_steps.aside = lambda work: work()
    torch_steps.captured = lambda work: work
    on_host().__enter__()
