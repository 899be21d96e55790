"""Sequential, residual, concat: sums and joins, names, seeds, what reaches the layers inside."""

import numpy as np
import pytest
import yaml

from gpucnn import layers as gl
from gpucnn.errors import ConfigError, ShapeError
from gpucnn.layers import Layer, Sequential, skip_input_gradient
from gpucnn.ops.base import Ops
from tests.layers.harness import rng, run, spread


def times(factor: float, **options: object) -> gl.Conv2d:
    """A 1x1 convolution of one channel; `set_factors` gives it its factor after build."""
    layer = gl.Conv2d(1, 1, bias=False, **options)
    layer.factor = factor
    return layer


def set_factors(model: Layer) -> None:
    for layer in model.walk():
        if hasattr(layer, "factor"):
            layer.weight.value[...] = layer.factor


def test_values_of_each_container(ops: Ops) -> None:
    x = spread((2, 1, 2, 3))
    dy1, dy3 = spread((2, 1, 2, 3), 1), spread((2, 3, 2, 3), 2)
    cases = [
        (gl.Sequential([times(2), times(5)]), 10 * x, dy1, 10 * dy1),
        (gl.Sequential([]), x, dy1, dy1),
        (gl.Residual([times(2)]), 3 * x, dy1, 3 * dy1),
        (gl.Residual([times(2)], shortcut=[times(4)]), 6 * x, dy1, 6 * dy1),
        (
            gl.Concat([[times(2)], [], [times(8)]]),
            np.concatenate([2 * x, x, 8 * x], axis=1),
            dy3,
            2 * dy3[:, :1] + dy3[:, 1:2] + 8 * dy3[:, 2:],
        ),
    ]
    for layer, expected, dy, expected_dx in cases:
        assert layer.build((1, 2, 3), ops, 0, dtype="float64") == expected.shape[1:]
        set_factors(layer)
        y, dx = run(layer, x, dy)
        # Powers of two and small whole factors of short sums: at most a rounding or two apart.
        np.testing.assert_allclose(y, expected, rtol=4 * np.finfo("float64").eps, atol=0)
        atol = 16 * np.finfo("float64").eps * abs(dy).max()
        np.testing.assert_allclose(dx, expected_dx, rtol=0, atol=atol)


def test_residual_adds_without_an_activation(ops: Ops) -> None:
    layer = gl.Residual([times(2)])
    layer.build((1, 1, 1), ops, 0)
    set_factors(layer)
    assert ops.to_numpy(layer.forward(ops.asarray([[[[-1.0]]]], "float32"), train=False)) == -3


def test_concat_joins_vectors_too(ops: Ops) -> None:
    layer = gl.Concat([[gl.Linear(3)], [gl.Linear(2), gl.Tanh()]])
    assert layer.build((4,), ops, 0) == (5,)


def deep() -> Sequential:
    return Sequential(
        [
            gl.Conv2d(2, 1),
            gl.Residual([gl.Conv2d(2, 1), gl.Relu()], shortcut=[gl.BatchNorm2d()]),
            gl.Concat([[gl.Sequential([gl.Conv2d(1, 1, name="stem")])], []]),
            gl.Dropout(0.5),
        ]
    )


def test_paths_and_labels(ops: Ops) -> None:
    model = deep()
    model.build((2, 2, 2), ops, 0)
    assert [layer.label for layer in model.walk()] == [
        "sequential",
        "model.layers.0 conv2d",
        "model.layers.1 residual",
        "model.layers.1.residual.body body",
        "model.layers.1.residual.body.0 conv2d",
        "model.layers.1.residual.body.1 relu",
        "model.layers.1.residual.shortcut shortcut",
        "model.layers.1.residual.shortcut.0 batch_norm2d",
        "model.layers.2 concat",
        "model.layers.2.concat.branches.0 branches.0",
        "model.layers.2.concat.branches.0.0 sequential",
        "model.layers.2.concat.branches.0.0.sequential.layers.0 stem",
        "model.layers.2.concat.branches.1 branches.1",
        "model.layers.3 dropout",
    ]


def test_state_names_are_unique_and_hold_every_tensor(ops: Ops) -> None:
    model = deep()
    model.build((2, 2, 2), ops, 0)
    assert list(model.state()) == [
        "0.weight",
        "0.bias",
        "1.0.0.weight",
        "1.0.0.bias",
        "1.1.0.gamma",
        "1.1.0.beta",
        "1.1.0.running_mean",
        "1.1.0.running_var",
        "2.0.0.0.weight",
        "2.0.0.0.bias",
    ]
    assert model.parameters()[0].value is model.state()["0.weight"]
    assert len(model.parameters()) == 8
    # Writing into the state is loading it.
    model.state()["1.1.0.running_var"][...] = 7
    assert (ops.to_numpy(model.layers[1].shortcut.layers[0].running_var) == 7).all()


def test_every_layer_has_weights_of_its_own(ops: Ops) -> None:
    def conv() -> gl.Conv2d:
        return gl.Conv2d(2, 3, padding=1, bias=False)

    model = Sequential(
        [
            conv(),
            conv(),
            gl.Residual([conv(), conv()], shortcut=[conv(), conv()]),
            gl.Sequential([conv()]),
            gl.Concat([[conv()], [conv()]]),
        ]
    )
    model.build((2, 4, 4), ops, 0)
    weights = [ops.to_numpy(parameter.value) for parameter in model.parameters()]
    assert len({weight.tobytes() for weight in weights}) == len(weights) == 9


def test_dropout_layers_of_a_model_draw_different_masks(ops: Ops) -> None:
    model = Sequential([gl.Concat([[gl.Dropout(0.5)], [gl.Dropout(0.5)]])])
    model.build((64,), ops, 0)
    y = run(model, np.ones((1, 64), "float32"))
    assert (y[:, :64] != y[:, 64:]).any()


def test_frozen_and_lr_scale_reach_all_inside(ops: Ops) -> None:
    model = Sequential(
        [
            gl.Linear(2, lr_scale=3),
            gl.Sequential([gl.Linear(2, lr_scale=0.5), gl.Linear(2)], lr_scale=4),
            gl.Residual([gl.Linear(2), gl.Tanh()], frozen=True),
        ],
        lr_scale=2,
    )
    for _ in range(2):  # a second build does not multiply again
        model.build((2,), ops, 0, dtype="float64")
        scales = [(p.lr_scale, p.frozen) for p in model.parameters() if p.name == "weight"]
        assert scales == [(6, False), (4, False), (8, False), (2, True)]
    run(model, spread((3, 2)), np.ones((3, 2)))
    assert [p.grad is None for p in model.parameters()] == [p.frozen for p in model.parameters()]


def test_set_step_reaches_every_dropout(ops: Ops) -> None:
    model = Sequential([gl.Residual([gl.Dropout(0.1)]), gl.Concat([[gl.Dropout2d(0.1)]])])
    model.build((1, 2, 2), ops, 0)
    model.set_step(41)
    x = ops.zeros((1, 1, 2, 2), "float32")
    model.forward(x, train=True)
    model.forward(x, train=False)
    steps = [layer.step for layer in model.walk() if isinstance(layer, gl.Dropout)]
    assert steps == [42, 42]
    with pytest.raises(ConfigError, match="step must be >= 0"):
        model.set_step(-1)


def test_macs_add_up(ops: Ops) -> None:
    model = Sequential(
        [
            gl.Conv2d(4, 3, padding=1, groups=2),  # 4·6·6·(2/2)·9
            gl.Residual([gl.Conv2d(4, 1)]),  # 4·6·6·4
            gl.MaxPool2d(2),
            gl.ConvTranspose2d(2, 2, stride=2),  # 4·3·3 · 2·2·2
            gl.Flatten(),
            gl.Linear(10),  # 72·10
        ]
    )
    model.build((2, 6, 6), ops, 0)
    assert [layer.macs() for layer in model.layers] == [1296, 576, 0, 288, 0, 720]
    assert model.macs() == 2880


def test_first_layer_need_not_give_its_input_gradient(ops: Ops) -> None:
    for first, shape in ((gl.Conv2d(1, 2), (1, 3, 3)), (gl.Linear(2), (3,))):
        model = Sequential([Sequential([first]), gl.Relu()])
        skip_input_gradient(model)
        out = model.build(shape, ops, 0, dtype="float64")
        x, dy = ops.asarray(spread((2, *shape))), ops.asarray(spread((2, *out)))
        model.forward(x, train=True)
        assert model.backward(dy) is None
        grads = [ops.to_numpy(p.grad) for p in model.parameters()]
        first.needs_input_gradient = True
        model.forward(x, train=True)
        assert model.backward(dy).shape == x.shape
        for parameter, grad in zip(model.parameters(), grads, strict=True):
            np.testing.assert_array_equal(ops.to_numpy(parameter.grad), grad)


@pytest.mark.parametrize(
    "model",
    [
        Sequential([gl.Flatten(), gl.Linear(2)]),
        Sequential([gl.Residual([gl.Conv2d(1, 1)])]),
        Sequential([]),
    ],
)
def test_other_first_layers_keep_it(ops: Ops, model: Sequential) -> None:
    skip_input_gradient(model)
    assert all(layer.needs_input_gradient for layer in model.walk())


SHORTCUTS = [
    ((8, 8, 8), [gl.Conv2d(16, 3, padding="same", stride=2)]),
    ((3, 9, 7), [gl.Conv2d(5, 3, padding=1, stride=2)]),
    ((3, 6, 6), [gl.Conv2d(5, 3, padding=1)]),
    ((4, 9, 9), [gl.MaxPool2d(3), gl.Conv2d(6, 1)]),
]


@pytest.mark.parametrize(("shape", "body"), SHORTCUTS)
def test_residual_shapes_must_agree_and_the_remedy_works(
    ops: Ops, shape: tuple[int, int, int], body: list[Layer]
) -> None:
    inner = Sequential(body).build(shape, ops, 0)
    with pytest.raises(ShapeError) as caught:
        Sequential([gl.Relu(), gl.Residual(body)]).build(shape, ops, 0)
    message = str(caught.value)
    assert message.startswith("model.layers.1 residual: the body gives")
    assert str(inner) in message
    assert str(shape) in message
    remedy = yaml.safe_load(message.split("`")[1])
    shortcut = [gl.LAYERS[kind](**options) for kind, options in remedy.items()]
    assert gl.Residual(body, shortcut=shortcut).build(shape, ops, 0) == inner


def test_residual_without_a_shortcut_that_fits_says_so(ops: Ops) -> None:
    with pytest.raises(ShapeError, match="Give the shortcut a conv2d"):
        gl.Residual([gl.Conv2d(1, 4)]).build((1, 10, 10), ops, 0)
    with pytest.raises(ShapeError, match="for vectors, a linear"):
        gl.Residual([gl.Linear(3)]).build((4,), ops, 0)


def test_concat_shapes_must_agree(ops: Ops) -> None:
    layer = gl.Concat([[gl.Conv2d(1, 3)], [], [gl.Flatten()]])
    with pytest.raises(ShapeError) as caught:
        Sequential([layer]).build((2, 5, 5), ops, 0)
    for part in ("model.layers.0 concat", "(1, 3, 3)", "(2, 5, 5)", "(50,)"):
        assert part in str(caught.value)


def test_errors_in_forward_name_the_layer(ops: Ops) -> None:
    model = deep()
    model.build((2, 2, 2), ops, 0)
    with pytest.raises(ShapeError, match=r"^model\.layers\.1 residual: x must have shape"):
        model.layers[1].forward(ops.zeros((1, 3, 2, 2), "float32"), train=False)
    model = Sequential([gl.Sequential([gl.BatchNorm2d()])])
    model.build((2, 1, 1), ops, 0)
    with pytest.raises(ShapeError) as caught:
        model.forward(ops.zeros((1, 2, 1, 1), "float32"), train=True)
    label = "model.layers.0.sequential.layers.0 batch_norm2d: batch norm in training needs"
    assert str(caught.value).startswith(label)


SHARED = gl.Relu()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sequential(gl.Relu()), "layers must be a list of layers"),
        (lambda: Sequential("relu"), "layers must be a list of layers, got 'relu'"),
        (lambda: Sequential(3), "layers must be a list of layers"),
        (lambda: Sequential([gl.Relu(), "relu"]), r"layers\[1\] must be a layer, got 'relu'"),
        (lambda: gl.Residual([]), "body must hold at least one layer"),
        (lambda: gl.Residual([gl.Relu()], shortcut=[None]), r"shortcut\[0\] must be a layer"),
        (lambda: gl.Concat([]), "branches must be a list of lists"),
        (lambda: gl.Concat("ab"), "branches must be a list of lists"),
        (lambda: gl.Concat([gl.Relu()]), r"branches\[0\] must be a list of layers"),
        (lambda: Sequential([SHARED, SHARED]), "one relu layer object is used twice"),
        (lambda: Sequential([SHARED, Sequential([SHARED])]), "used twice"),
        (lambda: gl.Residual([SHARED], shortcut=[SHARED]), "used twice"),
        (lambda: gl.Concat([[SHARED], [SHARED]]), "used twice"),
    ],
)
def test_what_containers_refuse(make, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_chain_of_convolutions_has_the_right_gradient_deep_down(ops: Ops) -> None:
    """SEEDS A26: S2's network has one convolution and never needs dx of the next."""
    model = Sequential([gl.Conv2d(2, 3), gl.Tanh(), gl.Conv2d(2, 2), gl.Flatten(), gl.Linear(2)])
    model.build((1, 5, 5), ops, 0, dtype="float64")
    x, dy = spread((2, 1, 5, 5)), rng(0).uniform(-1, 1, (2, 2))
    run(model, x, dy)
    weight = model.layers[0].weight
    before, grad = ops.to_numpy(weight.value).copy(), ops.to_numpy(weight.grad).copy()
    step = 2.0**-17
    for at in [(0, 0, 0, 0), (1, 0, 2, 1)]:
        sums = []
        for sign in (1, -1):
            moved = before.copy()
            moved[at] += sign * step
            weight.value[...] = ops.asarray(moved)
            sums.append(float((run(model, x) * dy).sum()))
        # Truncation h²·f'''/6 and rounding eps·|f|/h are both below 1e-8 for this f of order 10.
        assert abs((sums[0] - sums[1]) / (2 * step) - grad[at]) < 1e-8
