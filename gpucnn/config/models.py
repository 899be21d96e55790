"""The whole config as one model, and the rules that span its sections."""

from typing import Annotated, Any

from pydantic import Field, model_validator

from gpucnn.config.datasets import DataSection, DatasetChoice, Normalize
from gpucnn.config.layers import Layer
from gpucnn.config.training import Loss, Optimizer, Schedule, TrainSection
from gpucnn.config.types import Bool, Expects, FilePath, ImageShape, OneOf, Options, refuse

_DEVICES = ("cpu", "cuda", "emulator", "auto")


class ModelSection(Options):
    """The network."""

    input: ImageShape
    """[C, H, W] of one image."""
    rounding: Annotated[str, OneOf("strict", "floor")] = "strict"
    """strict: a window that does not tile its input is an error; floor: the rest is left out."""
    fuse: Bool = True
    """Neighbouring layers share passes over memory (ReLU, residual sums), to the same bits."""
    layers: Annotated[list[Layer], Field(min_length=1)]


class Config(Options):
    """One training run."""

    seed: Annotated[int, Field(ge=0, le=2**64 - 1), Expects("an integer from 0 to 2**64 - 1")] = 0
    """All random draws derive from it."""
    device: Annotated[
        str,
        Field(pattern=r"^(cpu|cuda(:[0-9]{1,3})?|emulator|auto)$"),
        Expects("cpu, cuda, cuda:N, emulator or auto", _DEVICES),
    ] = "cpu"
    data: Annotated[DataSection, DatasetChoice()]
    model: ModelSection
    loss: Loss = Field(default="softmax_cross_entropy", validate_default=True)
    optimizer: Optimizer
    schedule: Schedule = Field(default="constant", validate_default=True)
    train: TrainSection = Field(default={}, validate_default=True)
    output: FilePath
    """Run folder, seen from the working directory."""

    @model_validator(mode="after")
    def _sections_agree(self) -> "Config":
        if self.train.early_stopping is not None and self.data.validation == 0:
            raise refuse(
                "expected null, since data.validation is 0 and there is nothing to watch,"
                f" got patience {self.train.early_stopping.patience}",
                at=("train", "early_stopping"),
            )
        normalize, channels = self.data.normalize, self.model.input[0]
        if isinstance(normalize, Normalize) and len(normalize.mean) != channels:
            raise refuse(
                f"expected {channels} value(s), one a channel of model.input,"
                f" got {len(normalize.mean)}",
                at=("data", "normalize", "mean"),
            )
        return self


def json_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of a config file, for editors and other tools."""
    schema = Config.model_json_schema()
    schema["required"].remove("output")  # filled in from the file's name
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
