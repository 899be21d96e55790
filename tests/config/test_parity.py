"""The config's keys are the constructor keywords of what they build, with the same defaults."""

import inspect
import json
from typing import Any

import pytest
from hypothesis import given
from pydantic_core import PydanticUndefined

import gpucnn.data
import gpucnn.initializers
import gpucnn.layers
import gpucnn.losses
import gpucnn.optimizers
import gpucnn.schedules
from gpucnn.config import Spec, augmentations, datasets, layers, parse_config, training
from gpucnn.config.types import Options
from tests.config.test_round_trip import CONFIGS

TABLES = {
    "layers": (layers.LAYERS, gpucnn.layers.LAYERS),
    "losses": (training.LOSSES, gpucnn.losses.LOSSES),
    "optimizers": (training.OPTIMIZERS, gpucnn.optimizers.OPTIMIZERS),
    "schedules": (training.SCHEDULES, gpucnn.schedules.SCHEDULES),
    "transforms": (augmentations.TRANSFORMS, gpucnn.data.TRANSFORMS),
    "datasets": (datasets.DATASETS, gpucnn.data.DATASETS),
}
ENTRIES = [
    pytest.param(model, built[kind], id=f"{table}-{kind}")
    for table, (configured, built) in TABLES.items()
    for kind, model in configured.items()
    if table != "datasets" and kind in built
]
# Keys of a data section that the loader takes, not the data set.
COMMON = {"name", "batch_size", "validation", "augment", "drop_last", "normalize", "resident"}


def keywords(function: Any) -> dict[str, Any]:
    """Keyword -> default of a class or function, Signature.empty where it is required."""
    return {name: p.default for name, p in inspect.signature(function).parameters.items()}


def keys(model: type[Options]) -> dict[str, Any]:
    empty = inspect.Signature.empty
    return {
        name: empty if field.default is PydanticUndefined else field.default
        for name, field in model.model_fields.items()
    }


@pytest.mark.parametrize("table", TABLES)
def test_the_same_names(table: str) -> None:
    configured, built = TABLES[table]
    assert set(configured) == set(built)


@pytest.mark.parametrize(("model", "built"), ENTRIES)
def test_the_same_keys_and_defaults(model: type[Options], built: Any) -> None:
    expected = keywords(built)
    # An empty shortcut may be an empty tuple there and an empty list here.
    assert {key: list(d) if d == () else d for key, d in expected.items()} == keys(model)


@pytest.mark.parametrize("kind", datasets.DATASETS)
def test_data_set_keys(kind: str) -> None:
    own = {key: d for key, d in keys(datasets.DATASETS[kind]).items() if key not in COMMON}
    loader = keywords(gpucnn.data.DATASETS[kind])
    assert set(own) == set(loader)
    # Only mnist, fashion_mnist and cifar10 have a default root, which the loader never sees.
    own.pop("root", None)
    loader.pop("root", None)
    normal = {key: list(d) if isinstance(d, tuple) else d for key, d in loader.items()}
    assert all(own[key] == default for key, default in normal.items() if key != "download")


def build(spec: Spec) -> gpucnn.layers.Layer:
    """The layer of a Spec, with the layers inside it."""

    def inner(value: Any) -> Any:
        if isinstance(value, Spec):
            return build(value)
        return [inner(item) for item in value] if isinstance(value, list) else value

    options = {key: inner(value) for key, value in spec.options.items()}
    return gpucnn.layers.LAYERS[spec.kind](**options)


@given(CONFIGS)
def test_a_layer_takes_what_the_config_allows(data: dict[str, Any]) -> None:
    for spec in parse_config(json.dumps(data)).model.layers:
        assert build(spec).kind == spec.kind


def test_initializers() -> None:
    assert set(layers.INITIALIZERS) == set(gpucnn.initializers.INITIALIZERS)
