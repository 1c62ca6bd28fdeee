"""Each layer by itself: arguments, shapes, what it computes and what it keeps."""

from __future__ import annotations

import inspect
import json
import re
from typing import Any

import numpy as np
import pytest

from rot180 import ops
from rot180.errors import ArgumentError, ShapeError
from rot180.nn import (
    LAYERS,
    Add,
    AvgPool2d,
    Conv2d,
    CrossEntropyLoss,
    Dropout,
    Flatten,
    Layer,
    LeakyReLU,
    Linear,
    MaxPool2d,
    NoisyReLU,
    ReLU,
    Sequential,
    Sigmoid,
    Softmax,
    Tanh,
)
from rot180.nn.hyper import Hyper
from rot180.nn.validation import real_number


def images(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).normal(size=shape)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Conv2d(8, 3, strides=2), "Conv2d has no argument 'strides'; did you mean 'stride'?"),
        (lambda: Conv2d(8, 3, filters=2), "Conv2d has no argument 'filters'; "),
        (lambda: ReLU(nam="a"), "ReLU has no argument 'nam'; did you mean 'name'?"),
        (lambda: MaxPool2d(2, strid=2), "MaxPool2d has no argument 'strid'; did you mean 'stride'?"),
        (lambda: Conv2d(8), "Conv2d: missing a required argument: 'kernel_size'; its arguments are out_channels, "),
        (lambda: Conv2d(8, 3, 2), "Conv2d: too many positional arguments"),
        (lambda: Sequential(ReLU(), ReLU()), "Sequential: too many positional arguments"),
        (lambda: CrossEntropyLoss(label_smooth=0.1), "did you mean 'label_smoothing'?"),
        (lambda: Conv2d(0, 3), "Conv2d: out_channels must be an int, at least 1; it is 0"),
        (lambda: Conv2d(2.0, 3), "Conv2d: out_channels must be an int, at least 1; it is 2.0"),
        (lambda: Conv2d(True, 3), "Conv2d: out_channels must be an int, at least 1; it is True"),
        (lambda: Conv2d(4, 0), "Conv2d: kernel_size must be an int or a pair of ints, each at least 1"),
        (lambda: Conv2d(4, 3, stride=0), "Conv2d: stride must be"),
        (lambda: Conv2d(4, 3, padding="smae"), "padding must be 'valid', 'same' or numbers"),
        (lambda: Conv2d(4, 3, groups=3), "Conv2d: groups must divide in_channels and out_channels"),
        (lambda: Conv2d(4, 3, groups=2, in_channels=3), "Conv2d: groups must divide in_channels and out_channels"),
        (lambda: Conv2d(4, 3, algorithm="im2cols"), "unknown algorithm 'im2cols'; did you mean 'im2col'?"),
        (lambda: Conv2d(4, 3, initializer="glorot"), "Conv2d: unknown initializer 'glorot'; did you mean 'glorot"),
        (lambda: Linear(4, initializer=3), "Linear: initializer must be a name or a function"),
        (lambda: Linear(4, lr_factor=-1), "Linear: lr_factor must be a number, at least 0 and finite; it is -1"),
        (lambda: Linear(4, lr_factor=float("nan")), "Linear: lr_factor must be a number"),
        (lambda: Dropout(1.0), "Dropout: rate must be a number, at least 0 and below 1; it is 1.0"),
        (lambda: Dropout("half"), "Dropout: rate must be a number"),
        (lambda: ReLU(name="a.b"), "a layer's name must be a letter followed by letters, digits, '_' or '-'"),
        (lambda: ReLU(name=3), "a layer's name must be a letter"),
    ],
)
def test_an_argument_that_cannot_be_used_is_answered(make: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=re.escape(message)):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (Conv2d(4, 3), (9,), "Conv2d: a convolution takes (height, width, channels); it got (9,)"),
        (Conv2d(4, 3, in_channels=3), (8, 8, 1), "has 1 channels but in_channels is 3"),
        (Conv2d(4, 3, groups=2), (8, 8, 3), "groups must divide the input's channels"),
        (Conv2d(4, 9, name="big"), (8, 8, 3), "big: the window is 9 pixels high but the padded image only 8"),
        (MaxPool2d(2), (9,), "MaxPool2d: pooling takes (height, width, channels)"),
        (AvgPool2d(9), (8, 8, 1), "AvgPool2d: the window is 9 pixels high"),
        (Linear(4), (8, 8, 1), "Linear takes (n,) but got (8, 8, 1); put Flatten() before it"),
        (Linear(4, in_features=3), (4,), "the input has 4 values but in_features is 3"),
    ],
)
def test_an_input_that_does_not_fit_is_named(layer: Layer, shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ShapeError, match=re.escape(message)):
        layer.output_shape(shape)


@pytest.mark.parametrize("layer", [Conv2d(3, 2), Linear(3)])
def test_a_layer_without_parameters_says_what_to_call(layer: Layer) -> None:
    with pytest.raises(ArgumentError, match=r"has no parameters yet; call build\(input_shape\) first"):
        layer.forward(images(1, 4, 4, 1))


def test_conv2d_is_the_operation() -> None:
    layer = Conv2d(6, (3, 2), stride=(2, 1), padding="same", dilation=(1, 2), groups=2)
    layer.build((7, 9, 4), np.random.default_rng(0), dtype=np.float64)
    x = images(2, 7, 9, 4)
    weight, bias = layer.parameters["weight"], layer.parameters["bias"]
    bias[:] = np.arange(6)
    options: dict[str, Any] = {"stride": (2, 1), "padding": "same", "dilation": (1, 2), "groups": 2}
    y, saved = layer.forward(x)
    assert saved is x
    assert y.shape[1:] == layer.output_shape((7, 9, 4))
    np.testing.assert_array_equal(y, ops.conv2d(x, weight, bias, **options))
    dx, gradients = layer.backward(y, saved)
    for got, expected in zip(
        (dx, gradients["weight"], gradients["bias"]), ops.conv2d_backward(y, x, weight, **options), strict=True
    ):
        np.testing.assert_array_equal(got, expected)
    assert layer.backward(y, saved, needs_dx=False)[0] is None
    assert layer.multiply_adds((7, 9, 4)) == 4 * 9 * 6 * 3 * 2 * 2


def test_hyper_parameters_as_plain_values() -> None:
    layer = Conv2d(6, (3, 2), padding=((1, 2), (0, 1)), initializer=np.zeros_like, in_channels=4, name="stem")
    assert layer.hyperparameters == {
        "out_channels": 6, "kernel_size": [3, 2], "stride": [1, 1], "padding": [[1, 2], [0, 1]], "dilation": [1, 1],
        "in_channels": 4, "algorithm": "auto", "groups": 1, "bias": True, "initializer": "zeros_like", "lr_factor": 1.0,
    }  # fmt: skip
    layer.stride = 2
    assert layer.hyperparameters["stride"] == [2, 2]
    assert (ReLU().hyperparameters, Dropout(0.3).hyperparameters) == ({}, {"rate": 0.3})
    assert Add([ReLU()], []).hyperparameters == {}  # the branches are layers of their own


@pytest.mark.parametrize("kind", [kind for kind in LAYERS.values() if not kind.is_join])
def test_every_argument_is_among_the_hyper_parameters(kind: type[Layer]) -> None:
    parameters = inspect.signature(kind).parameters
    layer = kind(**{name: 2 if name != "rate" else 0.5 for name, one in parameters.items() if one.default is one.empty})
    learned = {"name"} if layer.has_parameters else {"name", "lr_factor"}
    assert layer.hyperparameters.keys() == parameters.keys() - learned
    assert json.loads(json.dumps(layer.hyperparameters)) == layer.hyperparameters


def test_a_layer_of_the_users_own_declares_its_hyper_parameters() -> None:
    class Scale(Layer):
        factor = Hyper(real_number)

        def __init__(self, factor: float) -> None:
            super().__init__()
            self.factor = factor

    assert Scale(2).hyperparameters == {"factor": 2.0}
    row = Sequential([Scale(2), ReLU()], input_shape=(3,)).summary().to_dict()["layers"][0]
    assert (row["name"], row["hyperparameters"]) == ("layer1", {"factor": 2.0})


def test_without_bias_there_is_none() -> None:
    for layer, x in ((Conv2d(2, 3, bias=False), images(1, 4, 4, 1)), (Linear(3, bias=False), images(2, 5))):
        layer.build(x.shape[1:], np.random.default_rng(0), dtype=np.float64)
        assert list(layer.parameters) == ["weight"]
        y, saved = layer.forward(x)
        assert list(layer.backward(y, saved)[1]) == ["weight"]


def test_linear_is_the_product() -> None:
    layer = Linear(3)
    layer.build((5,), np.random.default_rng(0), dtype=np.float64)
    x = images(2, 5)
    y, saved = layer.forward(x)
    assert saved is x
    np.testing.assert_allclose(y, x @ layer.parameters["weight"])
    dx, gradients = layer.backward(y, saved)
    np.testing.assert_allclose(gradients["weight"], x.T @ y)
    np.testing.assert_allclose(gradients["bias"], y.sum(0))
    assert dx is not None
    assert dx.shape == x.shape


def test_max_pool_keeps_where_and_not_what() -> None:
    x = images(2, 5, 5, 3)
    y, (winners, shape) = MaxPool2d(2, stride=1, padding="same").forward(x)
    assert y.shape == x.shape == shape
    assert np.issubdtype(winners.dtype, np.integer)


def test_avg_pool_counts_the_padding_or_not() -> None:
    x = np.ones((1, 3, 3, 1))
    assert AvgPool2d(2, padding="same").forward(x)[0][0, 1, 1, 0] == 0.25
    assert AvgPool2d(2, padding="same", count_include_pad=False).forward(x)[0][0, 1, 1, 0] == 1


WITHOUT_PARAMETERS = [
    ReLU(), NoisyReLU(), LeakyReLU(0.2), Sigmoid(), Tanh(), Softmax(), Flatten(), Dropout(), MaxPool2d(2), AvgPool2d(2),
]  # fmt: skip


@pytest.mark.parametrize("layer", WITHOUT_PARAMETERS, ids=lambda layer: type(layer).__name__)
def test_layers_without_parameters(layer: Layer) -> None:
    x = images(3, 4, 6, 2).astype(np.float32)
    y, saved = layer.forward(x)
    assert y.shape[1:] == layer.output_shape((4, 6, 2))
    assert y.dtype == np.float32
    dx, gradients = layer.backward(np.ones_like(y), saved)
    assert dx is not None
    assert (dx.shape, dx.dtype, gradients) == (x.shape, np.float32, {})
    assert layer.backward(np.ones_like(y), saved, needs_dx=False) == (None, {})
    assert layer.multiply_adds((4, 6, 2)) == 0
    assert layer.parameter_shapes((4, 6, 2)) == {}
    layer.build((4, 6, 2), np.random.default_rng(0))
    assert layer.parameters == {}


def test_activations_keep_the_output_where_the_derivative_is_written_in_it() -> None:
    for layer in (ReLU(), NoisyReLU(), Sigmoid(), Tanh(), Softmax()):
        y, saved = layer.forward(images(2, 3))
        assert saved is y


@pytest.mark.parametrize("layer", [Dropout(0.25), NoisyReLU(0.5)], ids=repr)
def test_chance_is_for_training_and_comes_from_the_generator(layer: Layer) -> None:
    x = np.abs(images(50, 40)).astype(np.float32)
    np.testing.assert_array_equal(layer.forward(x)[0], x)
    first, saved = layer.forward(x, training=True, generator=np.random.default_rng(1))
    again, _ = layer.forward(x, training=True, generator=np.random.default_rng(1))
    other, _ = layer.forward(x, training=True, generator=np.random.default_rng(2))
    np.testing.assert_array_equal(first, again)
    assert first.dtype == np.float32
    assert (first != other).any()
    np.testing.assert_array_equal(layer.backward(np.ones_like(x), saved)[0] == 0, first == 0)
    with pytest.raises(ArgumentError, match="pass a generator to forward"):
        layer.forward(x, training=True)


def test_without_rate_or_sigma_there_is_no_chance() -> None:
    x = np.abs(images(5, 4))
    for layer in (Dropout(0), NoisyReLU(0)):
        np.testing.assert_array_equal(layer.forward(x, training=True)[0], x)


def test_repr_is_the_call_with_what_differs_from_the_defaults() -> None:
    assert repr(Conv2d(8, 5, padding=2, stride=(2, 1), lr_factor=0.5)) == (
        "Conv2d(8, (5, 5), stride=(2, 1), padding=2, lr_factor=0.5)"
    )
    assert repr(ReLU(name="gate")) == "ReLU(name='gate')"
    assert repr(Linear(3, initializer=constant)) == "Linear(3, initializer='constant')"
    assert repr(Dropout()) == "Dropout()"


def constant(shape: tuple[int, ...], fan_in: int, fan_out: int, generator: np.random.Generator) -> np.ndarray:
    return np.full(shape, 2.0)


def test_the_base_is_abstract() -> None:
    layer = Layer()
    for call in (lambda: layer.forward(images(1)), lambda: layer.backward(images(1), None)):
        with pytest.raises(NotImplementedError, match=r"^$"):
            call()


def test_a_layer_of_the_users_own_is_shown_by_its_call() -> None:
    class Scale(Layer):
        def __init__(self, start: float = 1.0, noted: bool = False) -> None:
            super().__init__()
            self.start = start

    layer = Scale(2.0)
    assert layer.to_notation() == "Scale(start=2.0)"
    layer.parameters = {"weight": np.ones(4)}
    assert layer.parameter_shapes((6, 6, 4)) == {"weight": (4,)}


def test_the_registry_holds_every_layer() -> None:
    assert sorted(LAYERS) == sorted(
        "Conv2d ConvTranspose2d MaxPool2d AvgPool2d GlobalAvgPool2d GlobalMaxPool2d AdaptiveAvgPool2d Upsample Flatten "
        "Linear BatchNorm2d GroupNorm LayerNorm InstanceNorm2d LocalResponseNorm ChannelShuffle ChannelSlice ReLU "
        "ReLU6 NoisyReLU LeakyReLU PReLU ELU SiLU GELU Hardswish Sigmoid Hardsigmoid Tanh Softmax Dropout DropPath "
        "Add Concatenate Multiply".split()
    )
    assert all(layer.__doc__ for layer in LAYERS.values())
