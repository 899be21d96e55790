"""Arguments that no operation may take: the error, its words, and that nothing is written."""

from typing import Any

import numpy as np
import pytest

import gpucnn
from gpucnn.errors import ConfigError, DeviceError, GpucnnError, ShapeError
from gpucnn.ops.base import Ops
from tests.ops.harness import normal

POOL = {"kernel_size": 2}
DRAW = {"rate": 0.5, "seed": 1, "layer": 0, "step": 0}

# A correct call of every method with arrays: (name, shape or dtype,shape) of each, and keywords.
I32, U8 = "int32", "uint8"
CALLS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "conv2d_forward": (
        {"x": (2, 3, 5, 5), "w": (4, 3, 3, 3), "b": (4,), "residual": (2, 4, 3, 3)}, {}
    ),
    "conv2d_backward_input": (
        {
            "dy": (2, 4, 3, 3), "w": (4, 3, 3, 3),
            "residual": (2, 3, 5, 5), "relu_y": (2, 3, 5, 5),
        },
        {"x_shape": (2, 3, 5, 5)},
    ),
    "conv2d_backward_weight": (
        {"dy": (2, 4, 3, 3), "x": (2, 3, 5, 5)}, {"w_shape": (4, 3, 3, 3)}
    ),
    "conv2d_backward_bias": ({"dy": (2, 4, 3, 3)}, {}),
    "max_pool2d_forward": ({"x": (2, 3, 4, 4)}, POOL),
    "max_pool2d_backward": (
        {"dy": (2, 3, 2, 2), "argmax": (U8, (2, 3, 2, 2)), "relu_y": (2, 3, 2, 2)},
        {"x_shape": (2, 3, 4, 4), **POOL},
    ),
    "avg_pool2d_forward": ({"x": (2, 3, 4, 4)}, POOL),
    "avg_pool2d_backward": ({"dy": (2, 3, 2, 2)}, {"x_shape": (2, 3, 4, 4), **POOL}),
    "lp_pool2d_forward": ({"x": (2, 3, 4, 4)}, POOL),
    "lp_pool2d_backward": (
        {"dy": (2, 3, 2, 2), "x": (2, 3, 4, 4), "y": (2, 3, 2, 2)}, POOL
    ),
    "batch_norm2d_forward": (
        {
            "x": (2, 3, 4, 4), "gamma": (3,), "beta": (3,),
            "running_mean": (3,), "running_var": (3,), "residual": (2, 3, 4, 4),
        },
        {"train": True},
    ),
    "relu_forward": ({"x": (2, 3)}, {}),
    "relu_backward": ({"dy": (2, 3), "x": (2, 3)}, {}),
    "leaky_relu_forward": ({"x": (2, 3)}, {}),
    "leaky_relu_backward": ({"dy": (2, 3), "x": (2, 3)}, {}),
    "sigmoid_forward": ({"x": (2, 3)}, {}),
    "sigmoid_backward": ({"dy": (2, 3), "y": (2, 3)}, {}),
    "tanh_forward": ({"x": (2, 3)}, {}),
    "tanh_backward": ({"dy": (2, 3), "y": (2, 3)}, {}),
    "softmax_forward": ({"x": (2, 3)}, {}),
    "softmax_backward": ({"dy": (2, 3), "y": (2, 3)}, {}),
    "softmax_cross_entropy": ({"logits": (2, 3), "labels": (I32, (2,))}, {}),
    "mean_squared_error": ({"y": (2, 3), "target": (2, 3)}, {}),
    "linear_forward": ({"x": (2, 3), "w": (4, 3), "b": (4,)}, {}),
    "linear_backward": ({"dy": (2, 4), "x": (2, 3), "w": (4, 3), "relu_y": (2, 3)}, {}),
    "add": ({"a": (2, 3), "b": (2, 3)}, {}),
    "split": ({"x": (2, 3)}, {"sizes": [1, 2], "axis": 1}),
    "dropout_forward": ({"x": (2, 3, 4, 4)}, DRAW),
    "dropout2d_forward": ({"x": (2, 3, 4, 4)}, DRAW),
    "drop_block2d_forward": ({"x": (2, 3, 4, 4)}, {**DRAW, "block_size": 2}),
    "dropout_backward": ({"dy": (2, 3), "mask": (2, 3)}, {}),
    "sgd_update": (
        {"values": (6,), "grads": (6,), "velocity": (6,), "lr_scale": (6,), "average": (6,)},
        {"lr": 0.1, "momentum": 0.9, "decay": 0.5},
    ),
    "adam_update": (
        {
            "values": (6,), "grads": (6,), "first": (6,), "second": (6,), "lr_scale": (6,),
            "average": (6,),
        },
        {"lr": 0.1, "step": 1, "decay": 0.5},
    ),
    "rmsprop_update": (
        {
            "values": (6,), "grads": (6,), "second": (6,), "velocity": (6,), "lr_scale": (6,),
            "average": (6,),
        },
        {"lr": 0.1, "momentum": 0.9, "decay": 0.5},
    ),
    "ema_update": ({"average": (6,), "values": (6,)}, {"decay": 0.9}),
    "clip_by_global_norm": ({"grads": (6,)}, {"max_norm": 1}),
    "max_abs": ({"a": (6,)}, {}),
    "all_finite": ({"a": (6,)}, {}),
    "gather_images": ({"images": (U8, (4, 2, 3, 5)), "indices": (I32, (3,))}, {}),
    "gather_rows": ({"a": (4, 3), "indices": (I32, (3,))}, {}),
    "shift_images": ({"x": (2, 3, 4, 5), "offsets": (I32, (2, 2))}, {}),
    "flip_images": ({"x": (2, 3, 4, 5), "chosen": (U8, (2,))}, {}),
    "cut_out_images": ({"x": (2, 3, 4, 5), "corners": (I32, (2, 2))}, {"size": 2}),
    "rotate_images": ({"x": (2, 3, 4, 5), "turns": ("float64", (2, 2))}, {}),
    "normalize_images": ({"x": (2, 3, 4, 5), "mean": (3,), "std": (3,)}, {}),
}  # fmt: skip
# Methods whose arrays have any shape by themselves: a wrong one shows only beside another array.
ANY_SHAPE = {"max_abs", "all_finite", "dropout_forward", "gather_rows"} | {
    f"{name}_forward" for name in ("relu", "leaky_relu", "sigmoid", "tanh", "softmax")
}
OPTIONAL = {"b", "lr_scale", "residual", "relu_y", "average"}
# Arrays whose last size is free, so that one more is right.
FREE_SIZE = {
    ("conv2d_forward", "x"),
    ("conv2d_forward", "w"),
    ("lp_pool2d_backward", "x"),
    ("softmax_cross_entropy", "logits"),
    ("gather_images", "images"),
    ("gather_images", "indices"),
    ("normalize_images", "x"),
    *((f"{name}_images", "x") for name in ("shift", "flip", "cut_out", "rotate")),
}
ARGUMENTS = [(method, name) for method, (arrays, _) in CALLS.items() for name in arrays]
# Methods of one float array, or of one beside float64.
ONE_FLOAT = {
    "softmax_cross_entropy",
    "gather_rows",
    *(f"{name}_images" for name in ("shift", "flip", "cut_out", "rotate")),
}
# Beside another float array, whose dtype it must share.
MIXED = [
    (method, name)
    for method, name in ARGUMENTS
    if len(CALLS[method][0]) > 1 and method not in ONE_FLOAT
]
SHAPED = [(method, name) for method, name in ARGUMENTS if method not in ANY_SHAPE]


def host_arrays(method: str, dtype: str = "float32") -> dict[str, np.ndarray]:
    arrays = {}
    for name, spec in CALLS[method][0].items():
        kind, shape = spec if isinstance(spec[0], str) else (dtype, spec)
        arrays[name] = abs(normal(shape, "float64")).astype(kind)
        if kind != dtype:
            arrays[name][...] = 0
    return arrays


def refuse(
    ops: Ops, method: str, changed: dict[str, Any], error: type[Exception], *words: str
) -> None:
    """Call `method` with some arguments changed; expect `error` and unwritten arrays."""
    arrays = {name: ops.asarray(a) for name, a in host_arrays(method).items()}
    kept = {name: ops.to_numpy(a).copy() for name, a in arrays.items()}
    with pytest.raises(GpucnnError) as caught:
        getattr(ops, method)(**{**arrays, **CALLS[method][1], **changed})
    assert isinstance(caught.value, error), repr(caught.value)
    for word in words:
        assert word in str(caught.value), str(caught.value)
    for name, a in arrays.items():
        np.testing.assert_array_equal(ops.to_numpy(a), kept[name])


@pytest.mark.parametrize("method", CALLS)
def test_the_table_holds_correct_calls(ops: Ops, dtype: str, method: str) -> None:
    """Otherwise the refusals below would prove nothing."""
    arrays = {name: ops.asarray(a) for name, a in host_arrays(method, dtype).items()}
    getattr(ops, method)(**arrays, **CALLS[method][1])


@pytest.mark.parametrize(("method", "name"), ARGUMENTS)
def test_not_an_array_of_the_device(ops: Ops, method: str, name: str) -> None:
    given = host_arrays(method)[name]
    for wrong in (given.tolist(), "array", 1.0, None if name not in OPTIONAL else ()):
        refuse(ops, method, {name: wrong}, DeviceError, name, "ops.asarray", ops.name)


@pytest.mark.parametrize(("method", "name"), ARGUMENTS)
def test_wrong_dtypes(ops: Ops, method: str, name: str) -> None:
    given = host_arrays(method)[name]
    for dtype in ("float16", "int64", "bool", "complex64"):
        wrong = ops.asarray(given.astype(dtype))
        refuse(ops, method, {name: wrong}, DeviceError, name, dtype, "ops.asarray")


@pytest.mark.parametrize(("method", "name"), MIXED)
def test_mixed_floats(ops: Ops, method: str, name: str) -> None:
    """float64 beside float32 is an error, never a silent cast."""
    wrong = ops.asarray(host_arrays(method)[name].astype("float64"))
    refuse(ops, method, {name: wrong}, DeviceError, "float64")


@pytest.mark.parametrize(
    ("method", "name"), [(m, name) for m, name in ARGUMENTS if CALLS[m][0][name][0] != U8]
)
@pytest.mark.parametrize("device", ["cpu", "emulator"])
def test_foreign_byte_order(device: str, method: str, name: str) -> None:
    """An array of a GPU has the GPU's byte order."""
    ops = gpucnn.get_ops(device)
    given = host_arrays(method)[name]
    refuse(ops, method, {name: given.astype(given.dtype.newbyteorder())}, DeviceError, name, ">")


@pytest.mark.parametrize(("method", "name"), ARGUMENTS)
def test_layouts_that_are_not_c_contiguous(ops: Ops, method: str, name: str) -> None:
    given = ops.asarray(host_arrays(method)[name])
    wide = ops.zeros((*given.shape[:-1], 2 * given.shape[-1]), given.dtype)
    strided = wide[..., ::2]
    layouts = [strided, strided[..., ::-1]]
    if given.ndim > 1:
        layouts.append(ops.zeros(given.shape[::-1], given.dtype).T)
    for wrong in layouts:
        assert wrong.shape == given.shape
        refuse(ops, method, {name: wrong}, DeviceError, name, "contiguous", "ops.asarray")


@pytest.mark.parametrize(("method", "name"), SHAPED)
def test_wrong_shapes(ops: Ops, method: str, name: str) -> None:
    """One axis more, one less, one size more."""
    given = host_arrays(method)[name]
    shapes = [(*given.shape, 1), given.shape[1:], (*given.shape[:-1], given.shape[-1] + 1)]
    if (method, name) in FREE_SIZE or len(CALLS[method][0]) == 1:
        shapes.pop()
    for shape in shapes if method != "split" else []:
        refuse(ops, method, {name: ops.zeros(shape, given.dtype)}, GpucnnError, "shape")
    refuse(ops, method, {name: ops.zeros((), given.dtype)}, GpucnnError)


BAD_OPTIONS: list[tuple[str, dict[str, Any], type[Exception], str]] = [
    ("conv2d_forward", {"activation": "tanh"}, ConfigError, "activation"),
    ("conv2d_forward", {"activation": ""}, ConfigError, "'relu'"),
    ("conv2d_forward", {"stride": 0}, ConfigError, "stride"),
    ("conv2d_forward", {"padding": "same"}, ConfigError, "padding"),
    ("conv2d_forward", {"dilation": 3}, ShapeError, "spans 7 cells"),
    ("conv2d_forward", {"groups": 2}, ShapeError, "groups=2"),
    ("conv2d_backward_input", {"x_shape": (2, 3, 6, 5)}, ShapeError, "dy has shape (2, 4, 3, 3)"),
    ("conv2d_backward_input", {"x_shape": (3, 3, 5, 5)}, ShapeError, "gives (3, 4, 3, 3)"),
    ("conv2d_backward_input", {"x_shape": (2, 4, 5, 5)}, ShapeError, "C=4"),
    ("conv2d_backward_input", {"x_shape": (2, 3, 25)}, ShapeError, "(2, 3, 25)"),
    ("conv2d_backward_input", {"x_shape": None}, ShapeError, "None"),
    ("conv2d_backward_input", {"stride": 2}, ShapeError, "stride (2, 2)"),
    ("conv2d_backward_weight", {"w_shape": (4, 3, 3, 2)}, ShapeError, "gives (2, 4, 3, 4)"),
    ("conv2d_backward_weight", {"w_shape": (5, 3, 3, 3)}, ShapeError, "dy has shape"),
    ("conv2d_backward_weight", {"w_shape": (4, 2, 3, 3)}, ShapeError, "C=3"),
    ("conv2d_backward_weight", {"w_shape": 4}, ShapeError, "w must be"),
    ("max_pool2d_forward", {"tie_break": "first"}, ConfigError, "tie_break"),
    ("max_pool2d_forward", {"kernel_size": 5}, ShapeError, "spans 5 cells"),
    ("max_pool2d_forward", {"padding": 2}, ShapeError, "at most 1 a side"),
    ("max_pool2d_backward", {"x_shape": (2, 3, 6, 4)}, ShapeError, "dy must have shape"),
    ("max_pool2d_backward", {"stride": 1}, ShapeError, "(2, 3, 3, 3)"),
    ("avg_pool2d_forward", {"stride": 0}, ConfigError, "stride"),
    ("avg_pool2d_backward", {"x_shape": (2, 3, 4)}, ShapeError, "(2, 3, 4)"),
    ("lp_pool2d_forward", {"p": 0.5}, ConfigError, "p must be >= 1"),
    ("lp_pool2d_forward", {"p": float("inf")}, ConfigError, "finite"),
    ("lp_pool2d_forward", {"p": float("nan")}, ConfigError, "p must"),
    ("lp_pool2d_backward", {"p": "2"}, ConfigError, "p must be a number"),
    ("batch_norm2d_forward", {"momentum": 1.5}, ConfigError, "momentum"),
    ("batch_norm2d_forward", {"momentum": None}, ConfigError, "momentum"),
    ("batch_norm2d_forward", {"eps": -1e-5}, ConfigError, "eps"),
    ("batch_norm2d_forward", {"activation": "tanh"}, ConfigError, "'relu'"),
    ("add", {"activation": True}, ConfigError, "activation"),
    ("leaky_relu_forward", {"negative_slope": float("nan")}, ConfigError, "negative_slope"),
    ("leaky_relu_forward", {"negative_slope": float("-inf")}, ConfigError, "finite"),
    ("leaky_relu_backward", {"negative_slope": "0.1"}, ConfigError, "negative_slope"),
    ("softmax_cross_entropy", {"label_smoothing": -0.1}, ConfigError, "label_smoothing"),
    ("softmax_cross_entropy", {"label_smoothing": 1.1}, ConfigError, "<= 1"),
    ("softmax_cross_entropy", {"reduction": "none"}, ConfigError, "'mean', 'sum'"),
    ("mean_squared_error", {"reduction": None}, ConfigError, "reduction"),
    ("dropout_forward", {"rate": 1}, ConfigError, "rate must be >= 0 and < 1"),
    ("dropout_forward", {"rate": -0.1}, ConfigError, "rate"),
    ("dropout_forward", {"rate": float("nan")}, ConfigError, "rate"),
    ("dropout_forward", {"seed": -1}, ConfigError, "seed"),
    ("dropout_forward", {"seed": 2**64}, ConfigError, "seed"),
    ("dropout_forward", {"seed": 1.0}, ConfigError, "seed"),
    ("dropout_forward", {"layer": 2**32}, ConfigError, "layer must be below 2**32"),
    ("dropout2d_forward", {"layer": -1}, ConfigError, "layer"),
    ("dropout2d_forward", {"step": 2**32}, ConfigError, "step must be below 2**32"),
    ("drop_block2d_forward", {"step": 0.5}, ConfigError, "step"),
    ("drop_block2d_forward", {"block_size": 0}, ConfigError, "block_size"),
    ("drop_block2d_forward", {"block_size": 5}, ConfigError, "block_size must be at most"),
    ("sgd_update", {"lr": -0.1}, ConfigError, "lr"),
    ("sgd_update", {"lr": float("inf")}, ConfigError, "lr must be >= 0 and finite"),
    ("sgd_update", {"lr": 10**400}, ConfigError, "lr"),
    ("sgd_update", {"momentum": 1}, ConfigError, "momentum"),
    ("sgd_update", {"momentum": float("nan")}, ConfigError, "momentum"),
    ("sgd_update", {"weight_decay": -1}, ConfigError, "weight_decay"),
    ("sgd_update", {"velocity": None}, DeviceError, "velocity"),
    ("adam_update", {"step": 0}, ConfigError, "step must be >= 1"),
    ("adam_update", {"step": 1.0}, ConfigError, "step"),
    ("adam_update", {"beta1": 1}, ConfigError, "beta1"),
    ("adam_update", {"beta2": -0.1}, ConfigError, "beta2"),
    ("adam_update", {"eps": -1e-8}, ConfigError, "eps"),
    ("rmsprop_update", {"alpha": 1.1}, ConfigError, "alpha"),
    ("rmsprop_update", {"momentum": 1}, ConfigError, "momentum"),
    ("ema_update", {"decay": 1.1}, ConfigError, "decay"),
    ("sgd_update", {"decay": 1.1}, ConfigError, "decay"),
    ("adam_update", {"decay": None}, ConfigError, "decay must be a number"),
    ("rmsprop_update", {"average": None}, ConfigError, "decay needs an average"),
    ("clip_by_global_norm", {"max_norm": -1}, ConfigError, "max_norm"),
    ("clip_by_global_norm", {"max_norm": True}, ConfigError, "max_norm"),
    ("cut_out_images", {"size": 0}, ConfigError, "size must be >= 1"),
    ("cut_out_images", {"size": 2**31}, ConfigError, "size must fit into int32"),
]


@pytest.mark.parametrize(("method", "changed", "error", "words"), BAD_OPTIONS)
def test_bad_options(
    ops: Ops, method: str, changed: dict[str, Any], error: type[Exception], words: str
) -> None:
    refuse(ops, method, changed, error, words)


@pytest.mark.parametrize("method", ["sgd_update", "adam_update", "rmsprop_update"])
def test_the_rate_factors_may_be_left_out(ops: Ops, method: str) -> None:
    arrays = {name: ops.asarray(a) for name, a in host_arrays(method).items()}
    getattr(ops, method)(**{**arrays, "lr_scale": None}, **CALLS[method][1])


def test_batch_norm_backward_checks_its_arrays(ops: Ops) -> None:
    arrays = [ops.asarray(a) for a in host_arrays("batch_norm2d_forward").values()][:5]
    _, saved = ops.batch_norm2d_forward(*arrays, train=True)
    gamma = arrays[1]
    for dy, gain, error in (
        (ops.zeros((2, 3, 4), "float32"), gamma, ShapeError),
        (ops.zeros((2, 4, 4, 4), "float32"), gamma, ShapeError),
        (ops.zeros((2, 3, 5, 4), "float32"), gamma, ShapeError),
        (ops.zeros((1, 3, 4, 4), "float32"), gamma, ShapeError),
        (ops.zeros((2, 3, 4, 4), "float64"), gamma, DeviceError),
        (ops.zeros((2, 3, 4, 4), "float64"), ops.zeros((3,), "float64"), DeviceError),
        (ops.zeros((2, 3, 4, 8), "float32")[..., ::2], gamma, DeviceError),
        (None, gamma, DeviceError),
        (ops.zeros((2, 3, 4, 4), "float32"), ops.zeros((4,), "float32"), ShapeError),
    ):
        with pytest.raises(error):
            ops.batch_norm2d_backward(dy, saved, gain)


def test_argmax_of_another_window_size(ops: Ops) -> None:
    """int32 places for a window of 4 cells come from another pool."""
    dy, argmax = ops.zeros((1, 1, 2, 2), "float32"), ops.zeros((1, 1, 2, 2), "int32")
    with pytest.raises(DeviceError, match="argmax must be uint8"):
        ops.max_pool2d_backward(dy, argmax, (1, 1, 4, 4), kernel_size=2)
