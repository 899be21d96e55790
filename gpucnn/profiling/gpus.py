"""GPUs that a prediction can be made for, with the rates of their data sheets.

Data sheets tell rates at the boost clock, which a GPU under load may not hold.
"""

from dataclasses import dataclass

from gpucnn.errors import ConfigError


@dataclass(frozen=True)
class Gpu:
    """One GPU. What follows from several of its figures is a property."""

    name: str
    title: str
    arch: str
    """As NVRTC takes it."""
    multiprocessors: int
    fp32_cores: int
    """Of a multiprocessor; each does a multiply-accumulate a clock."""
    fp32_tflops: float
    """Outside of the tensor cores, which the kernels leave alone."""
    memory_gb_s: float
    l2_mib: int
    source: str

    @property
    def clock_ghz(self) -> float:
        """The clock at which the data sheet's FP32 rate is reached."""
        return 1000 * self.fp32_tflops / (2 * self.fp32_cores * self.multiprocessors)

    @property
    def on_chip_gb_s(self) -> float:
        """What all first-level caches and shared memories move: 128 bytes a clock each."""
        return ON_CHIP_BYTES * self.multiprocessors * self.clock_ghz


ON_CHIP_BYTES = 128
"""A clock and multiprocessor: 32 banks of 4 bytes (CUDA C++ Programming Guide, "Shared Memory")."""

_HOPPER = '"NVIDIA H100 Tensor Core GPU Architecture" (white paper)'
_AMPERE = '"NVIDIA A100 Tensor Core GPU Architecture" (white paper)'
_GA102 = '"NVIDIA Ampere GA102 GPU Architecture" (white paper), RTX 3090'
_ADA = '"NVIDIA Ada GPU Architecture" (white paper)'
_TURING = '"NVIDIA Turing GPU Architecture" (white paper), Tesla T4'
_SHEET = "https://www.nvidia.com/en-us/data-center"

GPUS = {
    gpu.name: gpu
    for gpu in (
        Gpu("h200", "NVIDIA H200 SXM", "sm_90", 132, 128, 67.0, 4800.0, 50,
            f"{_SHEET}/h200/; {_HOPPER}, the same GPU with other memory"),
        Gpu("h100", "NVIDIA H100 SXM", "sm_90", 132, 128, 67.0, 3350.0, 50,
            f"{_SHEET}/h100/; {_HOPPER}"),
        Gpu("a100", "NVIDIA A100 SXM 80 GB", "sm_80", 108, 64, 19.5, 2039.0, 40,
            f"{_SHEET}/a100/; {_AMPERE}"),
        Gpu("a100-40gb", "NVIDIA A100 SXM 40 GB", "sm_80", 108, 64, 19.5, 1555.0, 40,
            f"{_SHEET}/a100/; {_AMPERE}"),
        Gpu("rtx4090", "NVIDIA GeForce RTX 4090", "sm_89", 128, 128, 82.6, 1008.0, 72,
            f"{_ADA}, RTX 4090"),
        Gpu("l4", "NVIDIA L4", "sm_89", 58, 128, 30.3, 300.0, 48,
            f"{_SHEET}/l4/; {_ADA}"),
        Gpu("rtx3090", "NVIDIA GeForce RTX 3090", "sm_86", 82, 128, 35.6, 936.0, 6,
            _GA102),
        Gpu("t4", "NVIDIA T4", "sm_75", 40, 64, 8.1, 320.0, 4,
            f"{_SHEET}/tesla-t4/; {_TURING}"),
    )
}  # fmt: skip

DEFAULT = "h200"


def find_gpu(name: str) -> Gpu:
    """The GPU of that name; ConfigError for one that is not in the table."""
    try:
        return GPUS[name]
    except KeyError:
        raise ConfigError(f"--gpu must be one of {', '.join(GPUS)}, got {name!r}") from None
