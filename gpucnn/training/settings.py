"""When a training stops, and what it does beside the plain step."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """When to stop and what to do beside the plain step. None turns a rule off."""

    epochs: int
    max_iterations: int | None = None
    epsilon: float | None = None
    """Stop once every |change of a weight or bias| in one update is below this."""
    clip_norm: float | None = None
    ema: float | None = None
    log_every: int = 50
    cuda_graph: bool | str = "auto"
    """Whether steps are launched as CUDA graphs: "auto" where the device and the run allow it."""
