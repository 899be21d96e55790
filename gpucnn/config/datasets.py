"""The keys of each data set and of the augmentations."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    Tag,
    ValidatorFunctionWrapHandler,
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from gpucnn.config.augmentations import Augment
from gpucnn.config.messages import listed, quoted, spell, suggest
from gpucnn.config.types import (
    INT32_MAX,
    BatchSize,
    Bool,
    BoolOrAuto,
    Expects,
    FilePath,
    ImageShape,
    Number,
    Options,
    Positive,
    PositiveInt,
    Rate,
    Spec,
    refuse,
)


class Normalize(Options):
    """Mean and standard deviation of each channel, of pixels scaled to [0, 1]."""

    mean: Annotated[list[Number], Field(min_length=1), Expects("a list of one number a channel")]
    std: Annotated[list[Positive], Field(min_length=1), Expects("a list of numbers > 0")]

    @model_validator(mode="after")
    def _one_of_each(self) -> "Normalize":
        if len(self.mean) != len(self.std):
            raise refuse(
                f"expected as many values as mean has ({len(self.mean)}), got {len(self.std)}",
                at=("std",),
            )
        return self


def _normalize_kind(value: Any) -> str:
    return "@statistics" if isinstance(value, dict) else "@switch"


class DatasetOptions(Options):
    """Keys of any data set."""

    batch_size: BatchSize = 64
    """Images a step; all: the whole set, as full-batch gradient descent takes it."""
    validation: Rate = 0.1
    """Share of the training set, stratified, that best weights and early stopping watch."""
    augment: list[Augment] = Field(default_factory=list)
    drop_last: Bool = False
    """Leave out the last batch of an epoch where it is smaller."""
    normalize: Annotated[
        Annotated[Bool, Expects("true, false or {mean: [...], std: [...]}"), Tag("@switch")]
        | Annotated[Normalize, Tag("@statistics")],
        Discriminator(_normalize_kind),
    ] = True
    """true: by the training set's own statistics."""
    resident: BoolOrAuto = "auto"
    """Keep the set on the GPU and make its batches there, to the same bits; auto: if it fits."""

    @classmethod
    def _unknown(cls, key: str) -> str:
        owners = [name for name, model in DATASETS.items() if key in model.model_fields]
        this = next(name for name, model in DATASETS.items() if model is cls)
        if owners:
            return f"expected a key of the set {this}, got {quoted(key)}, a key of {listed(owners)}"
        return super()._unknown(key)


class Digits(DatasetOptions):
    """The handwritten digits inside the package: 1,797 images of 8 by 8."""

    name: Literal["digits"]


class _Downloaded(DatasetOptions):
    name: str
    root: FilePath
    download: Bool = False
    """Fetch missing files, with checksums."""


class Mnist(_Downloaded):
    """MNIST: 70,000 handwritten digits of 28 by 28."""

    name: Literal["mnist"]
    root: FilePath = "data/mnist"
    """Folder of the files, seen from the working directory."""


class FashionMnist(_Downloaded):
    """Fashion-MNIST: 70,000 pieces of clothing of 28 by 28."""

    name: Literal["fashion_mnist"]
    root: FilePath = "data/fashion_mnist"
    """Folder of the files, seen from the working directory."""


class Cifar10(_Downloaded):
    """CIFAR-10: 60,000 colour images of 32 by 32."""

    name: Literal["cifar10"]
    root: FilePath = "data/cifar10"
    """Folder of the files, seen from the working directory."""


class Npz(DatasetOptions):
    """Arrays x_train, y_train, x_test, y_test of one .npz file."""

    name: Literal["npz"]
    path: FilePath
    """The file, seen from the working directory."""


class ImageFolder(DatasetOptions):
    """Image files in root/train/<class> and root/test/<class>, resized."""

    name: Literal["image_folder"]
    root: FilePath
    """The folder, seen from the working directory."""
    size: Annotated[
        list[PositiveInt], Field(min_length=2, max_length=2), Expects("[height, width]")
    ]
    channels: Annotated[Literal[1, 3], Expects("1 (grey) or 3 (RGB)")] = 3


class Synthetic(DatasetOptions):
    """Random patterns, one a class, with noise."""

    name: Literal["synthetic"]
    samples: PositiveInt = 1000
    classes: Annotated[int, Field(ge=2, le=INT32_MAX), Expects("an integer >= 2")] = 10
    image: ImageShape = Field(default=[1, 8, 8])

    @model_validator(mode="after")
    def _a_sample_a_class(self) -> "Synthetic":
        if self.samples < self.classes:
            raise refuse(
                f"expected at least one a class ({self.classes}), got {self.samples}",
                at=("samples",),
            )
        return self


DATASETS: dict[str, type[DatasetOptions]] = {
    "digits": Digits,
    "mnist": Mnist,
    "fashion_mnist": FashionMnist,
    "cifar10": Cifar10,
    "npz": Npz,
    "image_folder": ImageFolder,
    "synthetic": Synthetic,
}
_COMMON = ("name", "root", "download", *DatasetOptions.model_fields)


@dataclass(frozen=True)
class DataSection:
    """The `data` section. `options` are the keys that belong to this data set alone."""

    name: str
    root: str | None
    """None where the data set has no folder."""
    download: bool
    batch_size: int | Literal["all"]
    validation: float
    augment: list[Spec]
    drop_last: bool
    normalize: bool | Normalize
    resident: bool | str
    options: dict[str, Any]


class DatasetChoice:
    """Annotation of a DataSection: the keys allowed depend on `name`."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        # "@" marks a tag that is no part of the key path.
        union = core_schema.tagged_union_schema(
            {f"@{name}": handler.generate_schema(model) for name, model in DATASETS.items()},
            discriminator=lambda data: f"@{data['name']}",
        )
        return core_schema.no_info_wrap_validator_function(self._check, union)

    def _check(self, value: Any, handler: ValidatorFunctionWrapHandler) -> DataSection:
        if not isinstance(value, dict):
            raise refuse(f"expected a mapping with the key name, got {spell(value)}")
        if "name" not in value:
            raise refuse(f"required key 'name' is missing: one of {listed(DATASETS)}", key=True)
        name = value["name"]
        if not isinstance(name, str) or name not in DATASETS:
            raise refuse(
                f"expected one of {listed(DATASETS)}, got {spell(name)}{suggest(name, DATASETS)}",
                at=("name",),
            )
        keys = handler(value)
        own = [key for key in type(keys).model_fields if key not in _COMMON]
        return DataSection(
            name=name,
            root=getattr(keys, "root", None),
            download=getattr(keys, "download", False),
            batch_size=keys.batch_size,
            validation=keys.validation,
            augment=keys.augment,
            drop_last=keys.drop_last,
            normalize=keys.normalize,
            resident=keys.resident,
            options={key: getattr(keys, key) for key in own},
        )
