"""The Ops contract, whole: what every device offers to layers, losses and optimizers.

Activations are NCHW, weights KCRS, arrays C-contiguous, float32 or float64. Methods take and return
the device's own arrays, keep the input's dtype, hold no hidden state and write no argument except
where they say so (`*_update`, `clip_by_global_norm`, batch norm's running statistics).
"""

from gpucnn.ops.contract.arrays import Array
from gpucnn.ops.contract.convolution import ConvolutionOps
from gpucnn.ops.contract.dense import DenseOps
from gpucnn.ops.contract.dropout import DropoutOps
from gpucnn.ops.contract.elementwise import ElementwiseOps
from gpucnn.ops.contract.images import ImageOps
from gpucnn.ops.contract.pooling import PoolingOps
from gpucnn.ops.contract.updates import UpdateOps

__all__ = ["Array", "Ops"]


class Ops(ConvolutionOps, PoolingOps, DenseOps, ElementwiseOps, DropoutOps, UpdateOps, ImageOps):
    """One device's operations. Get one with `gpucnn.get_ops(device)`."""
