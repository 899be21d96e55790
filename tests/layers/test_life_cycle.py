"""What every layer refuses: calls out of order, arrays that do not fit; and what it keeps."""

import inspect

import numpy as np
import pytest

from gpucnn import layers as gl
from gpucnn.errors import ConfigError, DeviceError, GpucnnError, ShapeError
from gpucnn.layers import LAYERS, Layer
from gpucnn.ops.base import Ops
from tests.layers.harness import CASES, built, run, spread

EACH = pytest.mark.parametrize("name", CASES)


def arrays(layer: Layer, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    return spread((2, *shape)), np.ones((2, *layer.output_shape))


@EACH
def test_not_built(name: str) -> None:
    layer = CASES[name].make()
    with pytest.raises(GpucnnError, match="not built, call build"):
        layer.forward(np.zeros((1, 1)), train=True)
    with pytest.raises(GpucnnError, match="no parameters before build"):
        layer.parameters()


@EACH
def test_backward_needs_a_training_forward_each_time(ops: Ops, name: str) -> None:
    layer = built(name, ops)
    x, dy = arrays(layer, CASES[name].shape)
    with pytest.raises(GpucnnError, match=r"needs a forward\(x, train=True\)"):
        layer.backward(ops.asarray(dy))
    run(layer, x, train=False)
    with pytest.raises(GpucnnError, match=r"needs a forward\(x, train=True\)"):
        layer.backward(ops.asarray(dy))
    run(layer, x, dy)
    with pytest.raises(GpucnnError, match="one for each call"):
        layer.backward(ops.asarray(dy))


@EACH
def test_evaluation_between_forward_and_backward_changes_nothing(ops: Ops, name: str) -> None:
    layer = built(name, ops)
    x, dy = arrays(layer, CASES[name].shape)
    _, expected = run(layer, x, dy)
    run(layer, x)
    layer.forward(ops.asarray(x[:1] * 3), train=False)
    np.testing.assert_array_equal(ops.to_numpy(layer.backward(ops.asarray(dy))), expected)


@EACH
def test_wrong_input_shapes(ops: Ops, name: str) -> None:
    layer, shape = built(name, ops), CASES[name].shape
    for wrong in [(2, *shape, 1), (2, *shape[:-1]), (2, *shape[:-1], shape[-1] + 1), ()]:
        with pytest.raises(ShapeError, match=r"x must have shape \(N, ") as caught:
            layer.forward(ops.zeros(wrong, "float64"), train=True)
        assert str(wrong) in str(caught.value)
        assert layer.name in str(caught.value)


@EACH
def test_wrong_gradient_shapes_leave_the_forward_usable(ops: Ops, name: str) -> None:
    layer = built(name, ops)
    x, dy = arrays(layer, CASES[name].shape)
    run(layer, x)
    for wrong in [(3, *layer.output_shape), (2, *layer.output_shape, 1), (2,)]:
        with pytest.raises(ShapeError, match="dy must have shape"):
            layer.backward(ops.zeros(wrong, "float64"))
    assert layer.backward(ops.asarray(dy)).shape == x.shape


@EACH
def test_arrays_of_another_kind_dtype_or_layout(ops: Ops, name: str) -> None:
    layer = built(name, ops)
    x, dy = arrays(layer, CASES[name].shape)
    with pytest.raises(DeviceError, match=r"ops\.asarray\(x\)"):
        layer.forward(x.tolist(), train=True)
    with pytest.raises(DeviceError, match="x must be float64, as the layer was built, got float32"):
        layer.forward(ops.asarray(x, "float32"), train=True)
    with pytest.raises(DeviceError, match="got int64"):
        layer.forward(ops.asarray(np.ones(x.shape, "int64")), train=True)
    wide = ops.asarray(np.repeat(x, 2, axis=-1))
    with pytest.raises(DeviceError, match="must be C-contiguous, got strides"):
        layer.forward(wide[..., ::2], train=True)
    run(layer, x)
    with pytest.raises(DeviceError, match=r"ops\.asarray\(dy\)"):
        layer.backward(dy.tolist())


@EACH
def test_forward_and_backward_write_no_argument(ops: Ops, name: str) -> None:
    layer = built(name, ops)
    x, dy = arrays(layer, CASES[name].shape)
    given_x, given_dy = ops.asarray(x.copy()), ops.asarray(dy.copy())
    layer.forward(given_x, train=True)
    layer.backward(given_dy)
    np.testing.assert_array_equal(ops.to_numpy(given_x), x)
    np.testing.assert_array_equal(ops.to_numpy(given_dy), dy)


@EACH
def test_build_is_a_function_of_the_seed(ops: Ops, name: str) -> None:
    first, again = built(name, ops, seed=3), built(name, ops, seed=3)
    other = built(name, ops, seed=4)
    for a, b in zip(first.state().values(), again.state().values(), strict=True):
        np.testing.assert_array_equal(ops.to_numpy(a), ops.to_numpy(b))
    weights = [key for key in first.state() if key.endswith("weight")]
    for key in weights:
        assert (ops.to_numpy(first.state()[key]) != ops.to_numpy(other.state()[key])).any()
    # A second build starts afresh, with as many parameters.
    first.build(CASES[name].shape, ops, 4, dtype="float64")
    assert list(first.state()) == list(other.state())
    for a, b in zip(first.state().values(), other.state().values(), strict=True):
        np.testing.assert_array_equal(ops.to_numpy(a), ops.to_numpy(b))


def test_float32_weights_are_those_of_float64_rounded(ops: Ops) -> None:
    single, double = (built("conv2d", ops, dtype=dtype) for dtype in ("float32", "float64"))
    for a, b in zip(single.parameters(), double.parameters(), strict=True):
        expected = ops.to_numpy(b.value).astype("float32")
        np.testing.assert_array_equal(ops.to_numpy(a.value), expected)


@pytest.mark.parametrize("kind", LAYERS)
def test_names_and_common_keywords(kind: str) -> None:
    keywords = inspect.signature(LAYERS[kind]).parameters
    assert {"name", "lr_scale", "frozen"} <= set(keywords)
    assert "".join(part.capitalize() for part in kind.split("_")) == LAYERS[kind].__name__
    defaults = [keywords[key].default for key in ("name", "lr_scale", "frozen")]
    assert defaults == [None, 1.0, False]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": ""}, "name must be a string"),
        ({"name": 3}, "name must be a string"),
        ({"lr_scale": -1}, "lr_scale must be >= 0"),
        ({"lr_scale": float("nan")}, "lr_scale"),
        ({"frozen": 1}, "frozen must be true or false, got 1"),
    ],
)
def test_common_keywords_are_checked(options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        gl.Relu(**options)


CONV = {"filters": 2, "kernel_size": 3}


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("conv2d", {**CONV, "filters": 0}, "filters must be >= 1, got 0"),
        ("conv2d", {**CONV, "filters": 2.0}, "filters must be an integer >= 1, got 2.0"),
        ("conv2d", {**CONV, "kernel_size": (3, 0)}, r"kernel_size\[1\] \(width\) must be >= 1"),
        ("conv2d", {**CONV, "kernel_size": (3, 3, 3)}, "kernel_size must be an int or a pair"),
        ("conv2d", {**CONV, "stride": 0}, "stride must be >= 1, got 0"),
        ("conv2d", {**CONV, "padding": -1}, "padding must be >= 0, got -1"),
        ("conv2d", {**CONV, "padding": "full"}, "'same', 'valid', an int.*got 'full'"),
        ("conv2d", {**CONV, "dilation": True}, "dilation must be an integer"),
        ("conv2d", {**CONV, "groups": 0}, "groups must be >= 1"),
        ("conv2d", {**CONV, "bias": "yes"}, "bias must be true or false"),
        ("conv2d", {**CONV, "init": "xavier"}, "init must be one of he_normal, .*got 'xavier'"),
        ("conv2d", {**CONV, "rounding": "ceil"}, "rounding must be one of 'strict', 'floor'"),
        (
            "conv_transpose2d",
            {**CONV, "output_padding": 1},
            "output_padding must be below the stride",
        ),
        (
            "conv_transpose2d",
            {**CONV, "stride": (1, 2), "output_padding": (1, 1)},
            "output_padding must be below",
        ),
        (
            "conv_transpose2d",
            {**CONV, "stride": 2, "output_padding": 1, "padding": "same"},
            "'same' decides the output's size",
        ),
        ("max_pool2d", {"kernel_size": 0}, "kernel_size must be >= 1"),
        ("max_pool2d", {"kernel_size": 2, "tie_break": "last"}, "tie_break must be one of"),
        ("max_pool2d", {"kernel_size": 2, "ceil_mode": 1}, "ceil_mode must be true or false"),
        ("max_pool2d", {"kernel_size": 2, "padding": "same"}, "padding must be an int"),
        ("avg_pool2d", {"kernel_size": 2, "count_include_pad": None}, "count_include_pad must be"),
        ("lp_pool2d", {"kernel_size": 2, "p": 0.5}, "p must be >= 1"),
        ("leaky_relu", {"negative_slope": "0.1"}, "negative_slope must be a number"),
        ("linear", {"units": -3}, "units must be >= 1, got -3"),
        ("batch_norm2d", {"momentum": 1.5}, "momentum must be >= 0 and <= 1"),
        ("batch_norm2d", {"eps": -1e-5}, "eps must be >= 0"),
        ("dropout", {"rate": 1.0}, "rate must be >= 0 and < 1"),
        ("dropout2d", {"rate": -0.1}, "rate must be >= 0"),
        ("drop_block2d", {"rate": 0.1, "block_size": 0}, "block_size must be >= 1"),
    ],
)
def test_options_are_checked_by_the_constructor(kind: str, options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LAYERS[kind](**options)


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (gl.Conv2d(2, 3), (10,), r"must be images \(C, H, W\), got shape \(10,\)"),
        (gl.Conv2d(2, 5), (1, 4, 9), "spans 5 cells, more than the height 4"),
        (gl.Conv2d(4, 1, groups=2), (3, 4, 4), "groups=2 must divide the input's channels"),
        (gl.Conv2d(3, 1, groups=2), (4, 4, 4), r"and filters \(3\)"),
        (gl.ConvTranspose2d(3, 1, groups=2), (4, 4, 4), "groups=2 must divide"),
        (gl.ConvTranspose2d(3, 3, padding=2), (4, 2, 4), "gives an output of 0 by 2"),
        (gl.MaxPool2d(2), (10,), r"must be images \(C, H, W\)"),
        (gl.MaxPool2d(2, padding=2), (1, 4, 4), "at most 1 a side"),
        (gl.AvgPool2d(5), (1, 4, 4), "spans 5 cells"),
        (gl.GlobalAvgPool2d(), (4, 4), "must be images"),
        (gl.BatchNorm2d(), (7,), "must be images"),
        (gl.Dropout2d(0.1), (7,), "must be images"),
        (gl.DropBlock2d(0.1, 2), (7,), "must be images"),
        (gl.Linear(3), (2, 4, 4), r"got shape \(2, 4, 4\): put `flatten` before"),
        (gl.Relu(), (), "input_shape must hold"),
        (gl.Relu(), (3, 0, 2), "input_shape must hold"),
        (gl.Relu(), (3, 2.0), "input_shape must hold"),
    ],
)
def test_inputs_that_do_not_fit_are_refused_by_build(
    ops: Ops, layer: Layer, shape: tuple, message: str
) -> None:
    with pytest.raises(ShapeError, match=message) as caught:
        layer.build(shape, ops, 0)
    assert str(caught.value).startswith(f"{layer.kind}: ")


def test_build_checks_seed_dtype_and_block(ops: Ops) -> None:
    with pytest.raises(ConfigError, match="seed must be an integer"):
        gl.Relu().build((3,), ops, -1)
    with pytest.raises(ConfigError, match="dtype must be one of 'float32', 'float64'"):
        gl.Relu().build((3,), ops, 0, dtype="float16")
    with pytest.raises(ConfigError, match="block_size must be at most the image's smaller side"):
        gl.DropBlock2d(0.1, 4).build((1, 3, 5), ops, 0)


def test_a_failed_build_leaves_the_layer_unusable(ops: Ops) -> None:
    layer = gl.Linear(3)
    layer.build((4,), ops, 0)
    with pytest.raises(ShapeError):
        layer.build((4, 4), ops, 0)
    with pytest.raises(GpucnnError, match="not built"):
        layer.forward(ops.zeros((1, 4), "float32"), train=False)


@pytest.mark.parametrize("name", ["conv2d", "conv_transpose2d", "linear", "batch_norm2d"])
def test_frozen_layers_get_no_parameter_gradients(ops: Ops, name: str) -> None:
    layer, free = built(name, ops), built(name, ops)
    layer.frozen = True
    layer.build(CASES[name].shape, ops, 0, dtype="float64")
    x, dy = arrays(layer, CASES[name].shape)
    y, dx = run(layer, x, dy)
    expected_y, expected_dx = run(free, x, dy)
    np.testing.assert_array_equal(y, expected_y)
    np.testing.assert_array_equal(dx, expected_dx)
    assert all(parameter.frozen and parameter.grad is None for parameter in layer.parameters())


def test_frozen_layers_spend_nothing_on_gradients(
    ops: Ops, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = gl.Conv2d(2, 3, frozen=True)
    layer.build((1, 4, 4), ops, 0)
    for method in ("conv2d_backward_weight", "conv2d_backward_bias"):
        monkeypatch.setattr(type(ops), method, lambda *a, **k: pytest.fail("was computed"))
    layer.forward(ops.zeros((1, 1, 4, 4), "float32"), train=True)
    layer.backward(ops.zeros((1, 2, 2, 2), "float32"))


@pytest.mark.parametrize("layer", [gl.Conv2d(2, 4), gl.Linear(2)])
def test_input_gradient_can_be_spared(ops: Ops, layer: Layer) -> None:
    shape = (1, 4, 4) if layer.kind == "conv2d" else (3,)
    layer.needs_input_gradient = False
    layer.build(shape, ops, 0)
    y = layer.forward(ops.zeros((1, *shape), "float32"), train=True)
    assert layer.backward(y) is None
    assert layer.parameters()[0].grad is not None
