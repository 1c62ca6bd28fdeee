"""The gradient of every layer, and of a network of every layer, against differences."""

from __future__ import annotations

import numpy as np
import pytest

from rot180.inside.gradient_check import check_gradients
from rot180.nn import LAYERS, CrossEntropyLoss, GlobalAvgPool2d, GlobalMaxPool2d, Sequential, SquaredErrorLoss, network
from rot180.nn.joins import JOINS
from rot180.nn.loss import Loss

LAYER_TEXTS = [
    "6x5x2 > conv3x2:4:same:s2",
    "6x5x4 > conv3x3:6:g2:d2:pad2,1,1,2",
    "6x5x2 > conv3x3:2:nobias:algorithm=windows",
    "6x5x2 > conv3x3:2:algorithm=offsets:s2x1",
    "6x5x2 > conv3x3:2:algorithm=im2col:pad1",
    "4x4x2 > conv2x2:2:algorithm=loops:d2",
    "6x5x2 > maxpool2",
    "6x5x2 > maxpool3x2:same:s1",
    "6x5x2 > maxpool3:s2:ceil",
    "6x5x2 > avgpool3x2:s2:pad1x0:ceil",
    "6x5x2 > avgpool2:same",
    "6x5x2 > avgpool3:pad1:s2:excludepad",
    "5x4x4 > convt3x2:6:s2x3:pad1x0:outpad1x2:d1x2:g2",
    "4x4x2 > convt2x2:3:s2:nobias",
    "5x4x3 > gap",
    "5x4x3 > gmp",
    "5x7x2 > adaptavg3x4",
    "3x4x2 > up2",
    "3x4x2 > up2x3:bilinear",
    "4x3x3 > bn",
    "5 > bn:noaffine:eps=0.1",
    "4x3x6 > gn3",
    "6 > gn2:noaffine",
    "4x3x6 > ln",
    "4x3x2 > ln:axes=3:eps=0.01",
    "7 > ln:noaffine",
    "4x3x2 > in",
    "4x3x2 > in:affine",
    "2x2x6 > lrn3:alpha=0.5:k=2",
    "2x2x6 > lrn4:alpha=0.5",
    "2x2x6 > shuffle3",
    "6x5x2 > flatten",
    "7 > fc5",
    "7 > fc5:nobias",
    "7 > relu",
    "7 > noisyrelu:sigma=0.5",
    "7 > leakyrelu:slope=0.3",
    "7 > relu6",
    "2x3x4 > prelu",
    "2x3x4 > prelu:shared:init=0.1",
    "7 > elu:alpha=0.7",
    "7 > silu",
    "7 > gelu",
    "7 > gelu:tanh",
    "7 > hardswish",
    "7 > hardsigmoid",
    "7 > sigmoid",
    "7 > tanh",
    "7 > softmax",
    "7 > dropout0.4",
    "4x2x2 > droppath0.4",
    "3x2x5 > slice2:from1",
]

EVERY_LAYER = (
    "9x8x2 > conv3x3:4:same gn2 bn relu maxpool2 > conv2x2:6:g2 ln noisyrelu shuffle3 avgpool2:same in prelu > "
    "convt2x2:4:s2 elu up2:bilinear lrn3 hardswish adaptavg3x2 > conv1:3 leakyrelu droppath0.2 "
    "( conv3:3:same tanh + skip ) ( skip | conv1:3 slice2:from1 ) ( skip * conv1:5 sigmoid ) flatten tanh "
    "dropout0.3 > fc12 silu > fc6 sigmoid > fc6 gelu relu6 hardsigmoid > fc5 softmax > fc4"
)


def check(model: Sequential, loss: Loss | None = None, seed: int = 0) -> None:
    """Compare the gradients of all parameters and of the images with differences.

    Without a loss, the sum of the outputs weighted at random stands for one. Noise and masks are the same at each call.
    """
    model.build(seed=seed, dtype=np.float64)
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(3, *model.input_shape))
    weights = generator.normal(size=(3, *model.output_shape))
    labels = generator.integers(0, model.output_shape[-1], 3)

    def run(arrays: dict[str, np.ndarray]) -> tuple[float, np.ndarray, list[object]]:
        model.load_parameters({name: array for name, array in arrays.items() if name != "x"})
        y, saved = model.forward(arrays["x"], training=True, generator=np.random.default_rng(9))
        if loss is None:
            return float((weights * y).sum()), weights, saved
        value, kept = loss.forward(y, labels)
        return value, loss.backward(kept), saved

    arrays = {"x": x, **{name: array + 0.1 for name, array in model.parameters.items()}}
    _, dy, saved = run(arrays)
    dx, gradients = model.backward(dy, saved, needs_dx=True)
    assert dx is not None
    result = check_gradients(lambda moved: run(moved)[0], arrays, {"x": dx, **gradients}, tolerance=1e-6)
    assert result.passed, str(result)
    assert gradients.keys() == model.parameters.keys()


@pytest.mark.parametrize("text", LAYER_TEXTS)
def test_a_layer(text: str) -> None:
    check(network(text))


@pytest.mark.parametrize("loss", [CrossEntropyLoss(0.1), None], ids=repr)
def test_a_network_of_every_layer(loss: Loss | None) -> None:
    check(network(EVERY_LAYER), loss, seed=1)


@pytest.mark.parametrize("loss", [CrossEntropyLoss(), SquaredErrorLoss()], ids=repr)
@pytest.mark.parametrize("pool", ["gap", "gmp"])
def test_a_network_that_pools_whole_maps(pool: str, loss: Loss) -> None:
    check(network(f"6x5x2 > conv3x3:4:same silu {pool} > fc3"), loss)


def test_every_layer_is_checked() -> None:
    checked = {type(network(text).layers[0]) for text in LAYER_TEXTS}
    assert checked == set(LAYERS.values()) - set(JOINS)
    assert {type(layer) for layer in network(EVERY_LAYER).layers} >= {*checked, *JOINS} - {
        GlobalAvgPool2d,
        GlobalMaxPool2d,
    }
