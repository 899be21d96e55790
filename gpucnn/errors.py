"""Every error gpucnn raises on purpose: one clear message with the argument, the value, the remedy.

`exit_status` is what the commands return: 2 for the user's mistake, 1 for a fault.
"""


class GpucnnError(Exception):
    """Base of all errors below."""

    exit_status = 2


class ConfigError(GpucnnError, ValueError):
    """An option, a key or a value that is not allowed."""


class ShapeError(GpucnnError, ValueError):
    """A rank or size that does not fit."""


class DeviceError(GpucnnError):
    """A missing device, or an array that this device cannot take (type, dtype, layout)."""


class DataError(GpucnnError):
    """A data file or data value that is missing, damaged or mislabelled."""


class CheckpointError(GpucnnError):
    """A checkpoint that is missing, damaged or belongs to another model or run."""


class KernelError(GpucnnError):
    """A kernel that does not compile or launch."""

    exit_status = 1


class CaptureError(GpucnnError):
    """Work that a CUDA graph cannot hold."""


class NonFiniteError(GpucnnError):
    """NaN or Inf in the loss, a layer's output or a gradient."""

    exit_status = 1
