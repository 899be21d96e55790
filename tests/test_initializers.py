"""Initial weights: the right spread, and a function of the seed alone."""

from math import sqrt

import numpy as np
import pytest

from gpucnn import layers as gl
from gpucnn.errors import ConfigError
from gpucnn.initializers import INITIALIZERS, initialize
from gpucnn.ops.base import Ops

FAN_IN, FAN_OUT, COUNT = 50, 30, 20_000
VARIANCES = {
    "he_normal": 2 / 50,
    "he_uniform": 2 / 50,
    "glorot_normal": 2 / 80,
    "glorot_uniform": 2 / 80,
    "lecun_normal": 1 / 50,
    "lecun_uniform": 1 / 50,
    "zeros": 0.0,
}


def draw(kind: str, seed: int = 0, dtype: str = "float64") -> np.ndarray:
    return initialize(kind, (COUNT // 10, 10), FAN_IN, FAN_OUT, seed, dtype)


def test_every_kind_is_tested() -> None:
    assert VARIANCES.keys() == INITIALIZERS.keys()


@pytest.mark.parametrize("kind", VARIANCES)
def test_mean_variance_and_range(kind: str) -> None:
    values, variance = draw(kind), VARIANCES[kind]
    assert values.shape == (COUNT // 10, 10)
    # Five standard errors of a mean and of a variance of COUNT draws; a normal's kurtosis of 3
    # gives √(2/COUNT), a uniform's is smaller.
    assert abs(values.mean()) <= 5 * sqrt(variance / COUNT)
    assert abs(values.var() - variance) <= 5 * variance * sqrt(2 / COUNT)
    if kind.endswith("uniform"):
        limit = sqrt(3 * variance)
        assert 0.99 * limit < abs(values).max() <= limit
    elif kind.endswith("normal"):
        assert abs(values).max() > 3 * sqrt(variance), "truncated"


@pytest.mark.parametrize("kind", VARIANCES)
def test_function_of_the_seed(kind: str) -> None:
    np.testing.assert_array_equal(draw(kind, 5), draw(kind, 5))
    np.testing.assert_array_equal(draw(kind, 5, "float32"), draw(kind, 5).astype("float32"))
    assert draw(kind, 5, "float32").dtype == "float32"
    assert kind == "zeros" or (draw(kind, 5) != draw(kind, 6)).any()


def test_zeros_are_zeros() -> None:
    values = draw("zeros")
    assert not values.any()
    assert not np.signbit(values).any()


def layers(init: str) -> list[tuple[gl.Layer, tuple[int, ...], int, int]]:
    """(layer, input shape, fan in, fan out)"""
    return [
        (gl.Conv2d(64, (5, 3), init=init), (32, 8, 8), 32 * 15, 64 * 15),
        (gl.Conv2d(128, 3, groups=4, init=init), (64, 8, 8), 16 * 9, 32 * 9),
        (gl.ConvTranspose2d(128, 3, groups=4, init=init), (64, 8, 8), 16 * 9, 32 * 9),
        (gl.Linear(200, init=init), (100,), 100, 200),
    ]


@pytest.mark.parametrize("kind", VARIANCES)
def test_layers_pass_their_fans(ops: Ops, kind: str) -> None:
    family = {"he": lambda i, o: 2 / i, "glorot": lambda i, o: 2 / (i + o),
              "lecun": lambda i, o: 1 / i, "zeros": lambda i, o: 0.0}  # fmt: skip
    for layer, shape, fan_in, fan_out in layers(kind):
        layer.build(shape, ops, 1, dtype="float64")
        values = ops.to_numpy(layer.weight.value)
        variance = family[kind.split("_")[0]](fan_in, fan_out)
        assert abs(values.var() - variance) <= 5 * variance * sqrt(2 / values.size)
        assert not ops.to_numpy(layer.bias.value).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("xavier", (2,), 1, 1, 0, "float32"), "init must be one of he_normal, .*got 'xavier'"),
        (("he_normal", (2,), 0, 1, 0, "float32"), "fan_in must be >= 1"),
        (("he_normal", (2,), 1, 0, 0, "float32"), "fan_out must be >= 1"),
        (("he_normal", (2,), 1, 1, -1, "float32"), "seed must be an integer"),
        (("he_normal", (2,), 1, 1, 0, "float16"), "dtype must be one of"),
    ],
)
def test_arguments_are_checked(arguments: tuple, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        initialize(*arguments)
