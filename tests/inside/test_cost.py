"""Costs are counted rightly, and predicted from primitives that are measured."""

from __future__ import annotations

import math

import numpy as np
import pytest

import rot180
from rot180.errors import ArgumentError
from rot180.inside import cost
from rot180.inside.machine import Machine, Surface, best_time, this_machine
from rot180.inside.time_model import predict_backward, predict_forward
from rot180.nn import LAYERS
from rot180.nn.layer import Layer


def test_counts_of_the_named_network() -> None:
    found = cost(rot180.model("cnn-32-64-512"), 32)
    layers = {layer.name: layer for layer in found.layers}
    conv1, conv2, fc1 = layers["conv1"], layers["conv2"], layers["fc1"]
    products = 32 * 196 * 800 * 64
    assert (conv2.parameters, conv2.multiply_adds_forward) == (800 * 64 + 64, products)
    assert conv2.multiply_adds_backward == 2 * products
    assert conv1.multiply_adds_backward == conv1.multiply_adds_forward  # no gradient of the images
    assert conv2.activation_bytes == 32 * 14 * 14 * 64 * 4
    pixels = 32 * 196 * 4
    assert conv2.unfolded_bytes == {
        "loops": {"forward": 0, "data_gradient": 0, "weight_gradient": 0},
        "im2col": {"forward": pixels * 800, "data_gradient": pixels * 1600, "weight_gradient": pixels * 800},
        "offsets": {"forward": pixels * 32, "data_gradient": pixels * 32, "weight_gradient": pixels * 32},
        "windows": {"forward": pixels * 800, "data_gradient": pixels * 800, "weight_gradient": pixels * 800},
        # 36 points for each tile of four outputs
        "winograd": {"forward": pixels * 288, "data_gradient": pixels * 576, "weight_gradient": pixels * 864},
    }
    assert conv1.unfolded_bytes["im2col"]["data_gradient"] == 0
    assert fc1.parameters == 3136 * 512 + 512
    assert found.total("parameters") == rot180.model("cnn-32-64-512").summary().parameters
    assert all(layer.predicted_forward and layer.predicted_backward is not None for layer in found.layers)
    assert found.total("measured_forward") is None


def test_a_surface_follows_powers_exactly_and_stops_at_its_edges() -> None:
    axes = ((1, 10, 100), (2, 32))
    values = np.array([[math.log(3 * a**0.5 / b) for b in axes[1]] for a in axes[0]])
    surface = Surface(axes, values)
    for a, b in ((1, 2), (7, 5.5), (100, 32), (31, 8)):
        assert surface(a, b) == pytest.approx(3 * a**0.5 / b)
    assert surface(1000, 2) == surface(100, 2)
    assert surface(0.1, 99) == surface(1, 32)


def steady(rate: float, each: float) -> Machine:
    """A machine on which every value costs the same, and every multiply-add."""
    names = this_machine().primitives
    sizes = (1, 2**21)
    line = np.log([[each], [each * 2**21]]).repeat(2, axis=1)
    return Machine(
        primitives=dict.fromkeys(names, Surface((sizes, (1, 1024)), line)),
        products=Surface(((1, 4096),) * 3, np.full((2, 2, 2), math.log(rate))),
        call=0.0,
        sizes=0.0,
        plan=0.0,
    )


def test_the_account_of_a_layer_on_a_machine_of_known_speed() -> None:
    multiplying = steady(rate=1e6, each=1e-15)
    linear, conv = rot180.Linear(20), rot180.Conv2d(8, 3, padding="same")
    assert predict_forward(multiplying, linear, (10,), 4) == pytest.approx(4 * 10 * 20 / 1e6, rel=1e-3)
    assert predict_backward(multiplying, linear, (10,), 4) == pytest.approx(2 * 4 * 10 * 20 / 1e6, rel=1e-3)
    products = 2 * 36 * 9 * 3 * 8
    assert predict_forward(multiplying, conv, (6, 6, 3), 2) == pytest.approx(products / 1e6, rel=1e-3)
    assert predict_backward(multiplying, conv, (6, 6, 3), 2) == pytest.approx(2 * products / 1e6, rel=1e-3)
    without_dx = predict_backward(multiplying, conv, (6, 6, 3), 2, needs_dx=False)
    assert without_dx == pytest.approx(products / 1e6, rel=1e-3)
    moving = steady(rate=1e18, each=1e-6)
    assert predict_forward(moving, rot180.ReLU(), (5, 5, 4), 3) == pytest.approx(300e-6)
    assert predict_backward(moving, rot180.ReLU(), (5, 5, 4), 3) == pytest.approx(600e-6)
    # Unfolding 72 windows of 27 values, 72 pixels of 8 biases, and 2 images of 8x8x3 padded.
    unfolding = 72 * 27 + 72 * 8 + 2 * 64 * 3 + 2 * 36 * 3
    assert predict_forward(moving, conv, (6, 6, 3), 2) == pytest.approx(unfolding * 1e-6, rel=1e-3)


def test_minimal_filtering_is_predicted_and_counted() -> None:
    layers = cost(
        rot180.network("9x8x4 > conv1:4 conv3x3:8:same:algorithm=winograd conv5x5:6:algorithm=winograd > fc3"), 4
    )
    conv1, conv2, conv3 = layers.layers[:3]
    for layer in (conv2, conv3):
        assert 0 < (layer.predicted_forward or 0) < 1
        assert 0 < (layer.predicted_backward or 0) < 1
    assert "winograd" not in {**conv1.unfolded_bytes, **conv1.algorithm_multiply_adds}
    # 9x8 outputs are 3x2 tiles of 4x4, 5x4 are 3x2 of 2x2, and the 9x8 pixels of its input 5x4 of them.
    counted = {
        "forward": 36 * 4 * 6 * 4 * 8,
        "data_gradient": 36 * 4 * 6 * 4 * 8,
        "weight_gradient": 36 * 4 * 6 * 4 * 8,
    }
    assert conv2.algorithm_multiply_adds["winograd"] == counted
    assert conv2.multiply_adds_forward == conv2.algorithm_multiply_adds["im2col"]["forward"] == 4 * 72 * 9 * 4 * 8
    tiles = {"forward": 6, "data_gradient": 20, "weight_gradient": 6}
    assert conv3.algorithm_multiply_adds["winograd"] == {part: 36 * 4 * n * 8 * 6 for part, n in tiles.items()}
    assert conv3.unfolded_bytes["winograd"] == {
        "forward": 4 * 36 * 4 * 6 * 8, "data_gradient": 4 * 36 * 4 * 20 * 6, "weight_gradient": 4 * 36 * 4 * 6 * 14
    }  # fmt: skip
    no_dx = cost(rot180.network("9x8x4 > conv3x3:8 > fc3"), 4).layers[0]
    assert no_dx.algorithm_multiply_adds["winograd"]["data_gradient"] == 0


@pytest.mark.parametrize("algorithm", ["im2col", "offsets", "windows"])
@pytest.mark.parametrize("word", ["conv3x3:8:same", "conv3x3:8:s2:g2", "conv3x3:4:g4", "conv2x2:8:d2:pad1"])
def test_every_convolution_has_a_prediction(word: str, algorithm: str) -> None:
    for layer in cost(rot180.network(f"8x8x4 > {word}:algorithm={algorithm} > fc3"), 4).layers:
        assert layer.predicted_forward is not None
        assert 0 < layer.predicted_forward < 1
        assert layer.predicted_backward is not None
        assert 0 < layer.predicted_backward < 1


def test_every_layer_has_a_prediction() -> None:
    text = "8x8x4 > maxpool3:same:s2 avgpool2:pad1 > leakyrelu noisyrelu sigmoid tanh dropout > fc4 > softmax"
    model = rot180.network(text)
    found = cost(model, 4, measure=True)
    assert all(layer.predicted_forward for layer in found.layers)
    assert found.total("measured_forward") is not None
    backward = [layer.predicted_backward for layer in found.layers]
    assert backward[:2] == [0, 0]  # nothing below the first weights needs a delta
    assert not model.is_built


DEEP = {
    "norms": "8x8x4 > conv1:4 bn gn2 ln in:affine lrn > fc4",
    "pools": "8x8x4 > conv1:4 ( skip * gap fc4 hardsigmoid ) up2 adaptavg5x5 up2:bilinear > gmp > fc4",
    "activations": "8x8x4 > conv1:4 relu6 hardswish elu prelu silu gelu gelu:tanh droppath0.1 shuffle2 > fc4",
    "joins": "8x8x4 > conv1:4 ( tanh + skip + relu ) ( skip | conv3x3:4:same:g4 ) ( tanh * skip ) > fc4",
    "transposed": "5x5x4 > conv1:4 convt3x3:8:s2:pad1:outpad1 convt2x2:4:g2 > fc4",
}


@pytest.mark.parametrize("key", DEEP)
def test_the_layers_of_deeper_networks_have_predictions(key: str) -> None:
    found = cost(rot180.network(DEEP[key]), 4)
    for layer in found.layers:
        assert layer.predicted_forward is not None, layer.name
        assert 0 < layer.predicted_forward < 1, layer.name
        assert layer.predicted_backward is not None, layer.name
        assert 0 < layer.predicted_backward < 1, layer.name
    assert found.total("predicted_forward") == pytest.approx(sum(layer.predicted_forward for layer in found.layers))


def test_every_built_in_layer_has_an_account() -> None:
    machine = steady(rate=1e9, each=1e-9)
    for name, kind in LAYERS.items():
        layer = kind(*{"Conv2d": (4, 3), "ConvTranspose2d": (4, 3), "Linear": (4,)}.get(name, ARGUMENTS.get(name, ())))
        shape = (6,) if name in ("Linear", "Softmax") else (6, 6, 4)
        more = (shape,) if layer.is_join else ()
        assert predict_forward(machine, layer, shape, 2, *more) is not None, name
        assert predict_backward(machine, layer, shape, 2, *more) is not None, name


ARGUMENTS = {"MaxPool2d": (2,), "AvgPool2d": (2,), "GroupNorm": (2,), "AdaptiveAvgPool2d": (3,), "Upsample": (2,)} | {
    "ChannelShuffle": (2,),
    "ChannelSlice": (2,),
    "DropPath": (0.5,),
}


def test_the_account_of_a_normalization_and_of_joins() -> None:
    moving = steady(rate=1e18, each=1e-6)
    bn, values = rot180.nn.BatchNorm2d(), 3 * 5 * 5 * 4
    assert predict_forward(moving, bn, (5, 5, 4), 3) == pytest.approx(8 * values * 1e-6)
    assert predict_backward(moving, bn, (5, 5, 4), 3, needs_dx=False) == pytest.approx(13 * values * 1e-6)
    assert predict_forward(moving, rot180.nn.Add(), (5, 5, 4), 3, (5, 5, 4)) == pytest.approx(values * 1e-6)
    assert predict_forward(moving, rot180.nn.Concatenate(), (5, 5, 4), 3, (5, 5, 8)) == pytest.approx(3 * values * 1e-6)


def test_a_layer_of_the_users_own_is_measured_and_not_predicted() -> None:
    class Doubled(Layer):
        def forward(self, x, *, training=False, generator=None):
            return 2 * x, None

        def backward(self, dy, saved, *, needs_dx=True):
            return 2 * dy, {}

        def to_notation(self):
            return "doubled"

    found = cost(rot180.Sequential([rot180.Linear(4), Doubled()], input_shape=(6,)), 2, measure=True)
    assert found.layers[1].predicted_forward is None
    assert found.layers[1].measured_backward > 0
    assert found.total("predicted_forward") is None


def test_predictions_are_near_what_is_measured() -> None:
    """A wide bound that holds on a busy machine too; benchmarks/cost.py holds every layer to a factor of 1.5."""
    text = "16x16x8 > conv1x1:8 > relu > maxpool2 > tanh > avgpool2 > fc4"
    for _ in range(4):
        found = cost(rot180.network(text), 32, measure=True)
        ratios = {
            layer.name: layer.predicted_forward / layer.measured_forward
            for layer in found.layers
            if layer.name.startswith(("relu", "pool", "tanh"))  # one thread, so a neighbor on the other does not matter
        }
        if all(1 / 3 < ratio < 3 for ratio in ratios.values()):
            return
    pytest.fail(f"predicted over measured: {ratios}")


def test_the_best_of_trials_and_their_number() -> None:
    calls = []
    assert best_time(lambda: calls.append(1), budget=0.0, least=4) < 0.01
    assert len(calls) == 5  # the first is not timed


def test_mistakes_are_explained() -> None:
    with pytest.raises(ArgumentError, match="no time model for engine 'compild'"):
        cost(rot180.model("digits"), engine="compild")
    with pytest.raises(ArgumentError, match="batch_size must be an int, at least 1; it is 0"):
        cost(rot180.model("digits"), 0)
    with pytest.raises(ArgumentError, match="input shape is not known yet"):
        cost(rot180.Sequential([rot180.Flatten(), rot180.Linear(3)]))
