"""gpucnn: CNN training with readable CUDA kernels behind a NumPy-compatible layer API."""

from gpucnn.errors import GpucnnError
from gpucnn.ops import get_ops

__version__ = "0.1.0"

__all__ = ["GpucnnError", "get_ops"]
