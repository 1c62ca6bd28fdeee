"""Sequential: names, shapes, building, both passes, parameters from outside."""

from __future__ import annotations

import copy
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from rot180.errors import ArgumentError, ShapeError
from rot180.nn import Conv2d, Dropout, Flatten, Linear, MaxPool2d, ReLU, Sequential, network
from rot180.nn.graph import following_activations, series

TEXT = "8x8x2 > conv3x3:4:same relu maxpool2 > conv3x3:5 tanh > fc6 relu dropout0.5 > fc3"


def images(count: int = 4, dtype: Any = np.float32) -> np.ndarray:
    return np.random.default_rng(5).normal(size=(count, 8, 8, 2)).astype(dtype)


def test_names_count_by_kind() -> None:
    assert [layer.name for layer in network(TEXT).layers] == (
        "conv1 relu1 pool1 conv2 tanh1 flatten1 fc1 relu2 dropout1 fc2".split()
    )
    assert [layer.name for layer in Sequential([Linear(3, name="head"), Linear(2)]).layers] == ["head", "fc2"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sequential([]), "Sequential needs at least one layer"),
        (lambda: Sequential(["relu"]), "Sequential takes layers such as ReLU(); it got 'relu'"),
        (lambda: Sequential([ReLU(name="a"), ReLU(name="a")]), "2 layers are named 'a'"),
        (lambda: Sequential([layer := ReLU(), layer]), "the same layer object appears twice"),
        (lambda: Sequential([ReLU()], input_shape=(3, 4)), "input_shape must be (height, width, channels) or (n,)"),
        (lambda: Sequential([ReLU()], input_shape=(3, 4, 0)), "each number of input_shape must be an int, at least 1"),
        (lambda: Sequential([ReLU()], input_shape=3.5), "input_shape must be (height, width, channels) or (n,)"),
        (lambda: Sequential([ReLU()]).build(), "input shape is not known yet; call build((height"),
        (lambda: Sequential([ReLU()]).summary(), "input shape is not known yet"),
        (lambda: network(TEXT).build(dtype=np.float16), "dtype must be float32 or float64"),
        (lambda: network(TEXT).build(dtype="floaty"), "dtype must be float32 or float64; it is 'floaty'"),
        (lambda: network(TEXT).build(seed=-1), "seed must be an int, at least 0; it is -1"),
        (lambda: network("99999 > fc99999").build(), "fc1: a network must have at most 2,147,483,648 parameters"),
        (lambda: network(TEXT).forward(images()), "the network has no parameters yet; call build(seed=0) first"),
        (lambda: network(TEXT).load_parameters({}), "the network has no parameters yet"),
        (lambda: network(TEXT).build().forward(np.zeros((1, 8, 8, 2), np.uint8)), "takes floats; got uint8"),
    ],
)
def test_what_cannot_be_is_answered(make: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=re.escape(message)):
        make()


@pytest.mark.parametrize("shape", [(1, 8, 8, 1), (8, 8, 2), ()])
def test_images_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    message = re.escape(f"the network takes images (N, 8, 8, 2); got {shape}")
    with pytest.raises(ShapeError, match=message):
        network(TEXT).build().forward(np.zeros(shape, np.float32))


def test_a_layer_that_does_not_fit_is_named() -> None:
    with pytest.raises(ShapeError, match=r"conv2: the window is 5 pixels high but the padded image only 4"):
        Sequential([Conv2d(3, 3), MaxPool2d(1), Conv2d(3, 5)], input_shape=(6, 6, 1))


def test_one_layer_is_a_network_and_knows_its_input_from_build() -> None:
    model = Sequential(Linear(3)).build(4)
    assert (model.input_shape, model.output_shape, model.is_built) == ((4,), (3,), True)
    assert repr(Sequential([Linear(3), ReLU()])) == "Sequential([Linear(3, name='fc1'), ReLU(name='relu1')])"
    assert str(Sequential([ReLU()])) == "Sequential([ReLU(name='relu1')])"


def test_shapes_follow_one_another() -> None:
    model = network("8x8x2 > conv3x3:4 maxpool2 > fc3")
    assert model.layer_shapes == [
        (((8, 8, 2),), (6, 6, 4)),
        (((6, 6, 4),), (3, 3, 4)),
        (((3, 3, 4),), (36,)),
        (((36,),), (3,)),
    ]
    assert model.output_shape == (3,)
    assert not model.is_built


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_type_is_carried_through(dtype: Any) -> None:
    model = network(TEXT).build(dtype=dtype)
    assert model.dtype == dtype
    y, saved = model.forward(images(dtype=np.float64), training=True, generator=np.random.default_rng(0))
    dx, gradients = model.backward(np.ones_like(y), saved, needs_dx=True)
    assert dx is not None
    assert {y.dtype, dx.dtype, *(g.dtype for g in gradients.values())} == {np.dtype(dtype)}
    assert all(array.dtype == dtype for array in model.parameters.values())


def test_backward_is_layer_by_layer() -> None:
    model = network("8x8x2 > conv3x3:4 relu maxpool2 > fc3").build(seed=1)
    y, saved = model.forward(images())
    dx, gradients = model.backward(y, saved, needs_dx=True)
    delta, expected = y, {}
    for layer, kept in zip(reversed(model.layers), reversed(saved), strict=True):
        delta, own = layer.backward(delta, kept)
        expected |= {f"{layer.name}.{name}": gradient for name, gradient in own.items()}
    np.testing.assert_array_equal(dx, delta)
    assert list(gradients) == list(model.parameters) == ["conv1.weight", "conv1.bias", "fc1.weight", "fc1.bias"]
    for name, gradient in gradients.items():
        assert gradient.shape == model.parameters[name].shape
        np.testing.assert_array_equal(gradient, expected[name])


def test_without_dx_layers_before_the_first_parameters_rest() -> None:
    model = network("8x8x2 > relu > fc3").build()
    y, saved = model.forward(images())
    with_dx = model.backward(y, saved, needs_dx=True)
    saved[0] = saved[1] = "never looked at"
    without = model.backward(y, saved)
    assert without[0] is None
    np.testing.assert_array_equal(with_dx[1]["fc1.weight"], without[1]["fc1.weight"])


def test_a_network_without_parameters_has_a_gradient_too() -> None:
    model = network("4 > relu").build()
    y, saved = model.forward(np.array([[-1.0, 1, 2, 3]]))
    dx, gradients = model.backward(np.ones_like(y), saved, needs_dx=True)
    np.testing.assert_array_equal(dx, [[0, 1, 1, 1]])
    assert gradients == {}
    assert model.backward(y, saved) == (None, {})


def test_call_is_forward_without_keeping() -> None:
    model = network(TEXT).build()
    np.testing.assert_array_equal(model(images()), model.forward(images())[0])


def test_gradients_of_parts_add_up_to_those_of_the_batch() -> None:
    model = network(TEXT).build(dtype=np.float64)
    x, dy = images(6), np.random.default_rng(1).normal(size=(6, 3))
    whole = model.backward(dy, model.forward(x)[1])[1]
    parts = [model.backward(dy[i : i + 2], model.forward(x[i : i + 2])[1])[1] for i in (0, 2, 4)]
    for name, gradient in whole.items():
        np.testing.assert_allclose(sum(part[name] for part in parts), gradient, atol=1e-12)


def test_the_same_seed_gives_the_same_weights() -> None:
    first, again, other = (network(TEXT).build(seed=seed).parameters for seed in (3, 3, 4))
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
    assert (first["conv1.weight"] != other["conv1.weight"]).any()
    sequence = np.random.SeedSequence(3)
    for _ in range(2):  # a SeedSequence is not used up
        np.testing.assert_array_equal(network(TEXT).build(seed=sequence).parameters["fc2.weight"], first["fc2.weight"])


def test_one_model_serves_many_threads() -> None:
    model = network(TEXT).build()
    batches = [images() * scale for scale in range(1, 9)]

    def both(x: np.ndarray) -> np.ndarray:
        y, saved = model.forward(x)
        return model.backward(y, saved)[1]["conv1.weight"]

    alone = [both(x) for x in batches]
    with ThreadPoolExecutor(4) as pool:
        for expected, got in zip(alone, pool.map(both, batches), strict=True):
            np.testing.assert_array_equal(got, expected)


def test_parameters_are_loaded_in_place() -> None:
    model, other = network(TEXT).build(seed=1), network(TEXT).build(seed=2)
    live = model.parameters["conv1.weight"]
    model.load_parameters(other.parameters)
    np.testing.assert_array_equal(live, other.parameters["conv1.weight"])
    assert live is model.parameters["conv1.weight"]
    np.testing.assert_array_equal(model(images()), other(images()))


def test_parameters_that_do_not_fit_change_nothing() -> None:
    model = network("4 > fc3 > fc2").build(seed=1)
    before = copy.deepcopy(model.parameters)
    wrong = {name: array + 1 for name, array in before.items()}
    with pytest.raises(ArgumentError, match=r"missing: fc1\.bias, fc2\.bias; unexpected: fc9\.bias"):
        model.load_parameters({"fc1.weight": 0, "fc2.weight": 0, "fc9.bias": 0})
    with pytest.raises(ShapeError, match=r"fc2\.bias must be \(2,\) of floats; it is \(3,\) of float64"):
        model.load_parameters({**wrong, "fc2.bias": np.zeros(3)})
    with pytest.raises(ShapeError, match=r"fc2\.bias must be \(2,\) of floats; it is \(2,\) of int64"):
        model.load_parameters({**wrong, "fc2.bias": np.zeros(2, np.int64)})
    for name, array in before.items():
        np.testing.assert_array_equal(model.parameters[name], array)


def test_learning_rate_factors_by_name() -> None:
    model = Sequential([Linear(3, lr_factor=0.5), ReLU(), Linear(2, bias=False)], input_shape=(4,)).build()
    assert model.lr_factors == {"fc1.weight": 0.5, "fc1.bias": 0.5, "fc2.weight": 1.0}


def test_the_activation_that_follows_is_looked_for_through_pooling() -> None:
    nodes = series([Conv2d(2, 3), MaxPool2d(2), ReLU(), Flatten(), Linear(3), Dropout(0.5), Linear(2)])
    assert [following_activations(nodes)[index] for index in (0, 4, 6)] == ["relu", "linear", "linear"]


def test_the_summary_counts_and_fits_eighty_columns() -> None:
    summary = network("28x28x1 > conv5x5:32:same:lr=0.25:init=he_normal:name=the_first_stem relu > fc10").summary()
    assert (summary.parameters, summary.multiply_adds) == (832 + 250_890, 627_200 + 250_880)
    lines = str(summary).splitlines()
    assert max(map(len, lines)) == 80
    assert "the_first_s… conv5x5:32:same:init=he…" in lines[3]
    assert lines[-1].split() == ["total", "251,722", "878,080"]
    assert repr(summary) == str(summary)
    model = network(TEXT).build()
    assert model.summary().parameters == sum(array.size for array in model.parameters.values())
