"""gpucnn: CNN training with readable CUDA kernels behind a NumPy-compatible layer API.

`import gpucnn` loads nothing else; each part is imported when it is first named, so the command
line starts quickly and the doctor runs where NumPy does not.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gpucnn.errors import GpucnnError

__version__ = "0.1.0"

__all__ = [
    "GpucnnError",
    "build",
    "config",
    "data",
    "get_ops",
    "initializers",
    "layers",
    "losses",
    "optimizers",
    "schedules",
    "training",
]

if TYPE_CHECKING:
    from gpucnn import (
        build,
        config,
        data,
        initializers,
        layers,
        losses,
        optimizers,
        schedules,
        training,
    )
    from gpucnn.ops import get_ops
else:

    def __getattr__(name: str) -> Any:
        if name == "get_ops":
            return import_module("gpucnn.ops").get_ops
        if name in __all__:
            return import_module(f"gpucnn.{name}")
        raise AttributeError(f"module 'gpucnn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
