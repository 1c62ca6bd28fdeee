"""The compiled engine agrees with the reference: every layer, random networks, optimizers, losses, batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from agreement import TOLERANCE, assert_close, batches, built, compare, train
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from rot180.engine import make_engine
from rot180.errors import Rot180Error, ShapeError
from rot180.nn import MODELS, network
from rot180.nn.loss import CrossEntropyLoss, SquaredErrorLoss
from rot180.nn.models import adapted_model
from rot180.ops import cross_entropy, cross_entropy_backward
from rot180.training import SGD, Adam, AdamW, Muon, RMSprop
from rot180.training.recipe import RECIPES

ALONE = """
conv3x3:5
conv3x3:16:same relu
conv3x3:20:same:nobias
conv2x3:7:pad0,2,1,0
conv3x2:6:s2
conv3x3:8:s3x2:pad2 relu
conv3x3:8:d2:same
conv2x2:6:d2x3:pad3 relu
conv3x3:6:g3:same relu
conv3x3:9:g3:s2:d2:same
conv1x1:33
conv1x1:16 conv3x3:8:same relu
conv1x1:20 relu conv1x1:40:s2 relu
conv1x1:33:s2x3:nobias
conv1x1:33 conv3x3:33:g33:same relu
conv1x1:17 conv3x3:34:g17:s2:pad2:nobias
conv1x1:20 relu conv5x2:20:g20:s1x2:d2:same relu conv1x1:24 relu
conv7x9:4
conv5x5:24:same relu maxpool2
conv3x3:8:same maxpool2 relu
conv3x3:8:same relu maxpool2x3:s2x3
conv3x3:8:same relu maxpool3:s2
conv3x3:8:s2:same:nobias relu maxpool2
conv3x3:6:g3:same relu maxpool2
conv3x3:8:d2:same relu maxpool2
maxpool2
maxpool3:s2:same
maxpool2:s3
avgpool2
avgpool3:s2:same
maxpool3:s2:ceil
conv3x3:8:same relu maxpool3:ceil
avgpool3:s2:pad1x0:ceil
tanh avgpool4:ceil
relu
leakyrelu
leakyrelu:slope=0 relu
noisyrelu
sigmoid
tanh
softmax
dropout0.4
flatten
fc16 relu
fc33:nobias
fc1 tanh
""".strip().split("\n")

OPTIMIZERS = {
    "sgd": lambda: SGD(lr=0.1),
    "decayed": lambda: SGD(lr=0.1, weight_decay=0.01),
    "momentum": lambda: SGD(lr=0.1, momentum=0.9, weight_decay=0.01),
    "nesterov": lambda: SGD(lr=0.1, momentum=0.9, nesterov=True),
    # With the usual eps of 1e-8 the first steps only ask for the signs of the gradients, also of those that are zero
    # but for rounding.
    "adam": lambda: Adam(lr=0.01, eps=1e-3, weight_decay=0.01),
    "adamw": lambda: AdamW(lr=0.01, eps=1e-3, weight_decay=0.1),
    "muon": lambda: Muon(lr=0.01, eps=1e-3, weight_decay=0.1),
    "muon, clipped": lambda: Muon(lr=0.01, eps=1e-3, clip_norm=0.1, decay_bias_and_norm=False),
    "rmsprop": lambda: RMSprop(lr=0.001, eps=1e-3, weight_decay=0.01),
}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("layer", ALONE)
def test_every_layer_between_two_others(layer: str, dtype: str) -> None:
    compare(f"11x10x3 > conv1x1:6 > {layer} > fc7", dtype=dtype)


@pytest.mark.parametrize("layer", ALONE)
def test_every_layer_as_the_first(layer: str) -> None:
    compare(f"11x10x3 > {layer} > fc7")


@pytest.mark.parametrize("layer", ["softmax", "sigmoid", "tanh", "relu", "leakyrelu", "dropout0.3"])
def test_every_activation_as_the_last(layer: str) -> None:
    compare(f"4x4x2 > conv3x3:8 relu > fc5 {layer}")


@pytest.mark.filterwarnings("ignore:.* has no compiled kernel and runs in NumPy")
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    "layer", ["gn2", "ln", "ln:axes=3", "in:affine", "lrn3", "shuffle2", "slice3:from1", "droppath0.3", "convt3x2:6:s2"]
)
def test_every_further_layer_between_two_others(layer: str, dtype: str) -> None:
    compare(f"6x5x3 > conv1x1:6 relu > {layer} > conv1x1:4 > fc7", dtype=dtype)


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_named_models(name: str) -> None:
    compare(MODELS[name], [4])


@pytest.mark.parametrize("name", ["resnet20", "mobilenet_v3_small", "efficientnet_b0", "squeezenet1_1", "densenet121"])
def test_deep_named_models(name: str) -> None:
    # Minimal filtering rounds more, over as many as 121 layers.
    compare(adapted_model(name, (33, 32, 3), 3), [4], dtype="float64", tolerance=1e-9)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    "text",
    [
        "40x33x3 > conv5x3:6:same tanh avgpool2 > conv3x3:17 sigmoid avgpool3x2:s4 > fc10",  # more pixels than a lot
        "30x27x2 > conv3x3:40:s1x2 relu > conv2x3:33:same tanh avgpool2:same > fc19 tanh > fc7 sigmoid",
        "34x35x5 > conv3x3:35:same relu > conv3x3:4 leakyrelu avgpool2 > fc10",
    ],
)
def test_large_images_and_activations_on_the_way(text: str, dtype: str) -> None:
    compare(text, [8, 1, 5], dtype=dtype)


@st.composite
def networks(draw: st.DrawFn) -> str:
    """Draw a network of up to six blocks; nonsense is left to the notation to refuse."""
    number = st.integers(1, 3)
    size = "x".join(str(draw(st.integers(1, 13))) for _ in range(2)) + f"x{draw(st.integers(1, 4))}"
    activation = st.sampled_from(["", "", " relu", " relu", " leakyrelu", " sigmoid", " tanh", " dropout0.3"])
    words = [size]
    for _ in range(draw(st.integers(0, 4))):
        kind = draw(st.sampled_from(["conv", "conv", "conv", "maxpool", "avgpool", "softmax", "noisyrelu"]))
        if kind in ("softmax", "noisyrelu"):
            words.append(kind)
            continue
        kernel = f"{draw(number)}x{draw(number)}"
        step = draw(st.sampled_from(["", "", ":s2", ":s1x2", ":s3x1"]))
        padding = draw(st.sampled_from([":same", ":same", "", ":pad1", ":pad0,1,2,0"]))
        if kind == "conv":
            filters = draw(st.sampled_from([1, 3, 6, 16, 17, 34]))
            more = draw(st.sampled_from(["", "", ":d2", ":d1x2", ":nobias", ":g2", ":lr=0.5"]))
            pool = draw(st.sampled_from(["", "", " maxpool2", " maxpool2x1"]))
            words.append(f"conv{kernel}:{filters}{step}{padding}{more}" + draw(activation) + pool)
        else:
            around = draw(st.sampled_from(["", ":same", ":ceil"]))  # no window may hold nothing but padding
            words.append(f"{kind}{kernel}{step}{around}" + draw(activation))
    for _ in range(draw(st.integers(0, 2))):
        words.append(f"fc{draw(st.sampled_from([1, 5, 16, 35]))}" + draw(activation))
    words.append(f"fc{draw(st.sampled_from([2, 10, 19]))}")
    return " > ".join(words)


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(text=networks(), counts=st.lists(st.sampled_from([1, 2, 3, 5, 8]), min_size=1, max_size=3), data=st.data())
def test_random_networks(text: str, counts: list[int], data: st.DataObject) -> None:
    try:
        network(text)
    except Rot180Error:
        assume(False)
    compare(text, counts, dtype=data.draw(st.sampled_from(sorted(TOLERANCE))))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_and_rates_of_single_layers(name: str, dtype: str) -> None:
    text = "9x8x2 > conv3x3:8:same:lr=0.25 relu maxpool2 > conv3x3:5 relu > fc33:lr=0.5 relu > fc7"
    compare(text, [4, 7, 4, 1, 4], dtype=dtype, optimizer=OPTIMIZERS[name])


@pytest.mark.parametrize("name", ["sgd", "adam", "muon"])
def test_gradients_of_uneven_batches_are_joined(name: str) -> None:
    text = "9x8x2 > conv3x3:8:same relu maxpool2 > conv3x3:5:lr=0.5 relu > fc33:lr=0.5 relu > fc7"
    compare(text, [4, 1, 3, 2, 5, 4], update=lambda step: step in (2, 3, 5), optimizer=OPTIMIZERS[name])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("loss", [CrossEntropyLoss(), CrossEntropyLoss(label_smoothing=0.1), SquaredErrorLoss()])
@pytest.mark.parametrize("kind", ["labels", "rows"])
def test_every_loss_and_kind_of_target(loss: CrossEntropyLoss | SquaredErrorLoss, kind: str, dtype: str) -> None:
    def rows(labels: np.ndarray, classes: int) -> np.ndarray:
        return (0.7 * np.eye(classes)[labels] + 0.3 / classes).astype(dtype)

    options = {"target": rows} if kind == "rows" else {}
    compare("5x5x2 > conv3x3:8 relu > fc5", [3, 1, 4], dtype=dtype, loss=loss, **options)


class OfPixels:
    """A user's own loss: the cross-entropy of pixels."""

    name = "of_pixels"

    def forward(self, outputs: np.ndarray, target: np.ndarray) -> tuple[float, Any]:
        assert outputs.shape == (*target.shape, outputs.shape[-1])
        loss, probabilities = cross_entropy(outputs.reshape(-1, outputs.shape[-1]), target.reshape(-1))
        return loss, (probabilities, target)

    def backward(self, saved: Any) -> np.ndarray:
        probabilities, target = saved
        return cross_entropy_backward(probabilities, target.reshape(-1)).reshape(*target.shape, -1)


@pytest.mark.parametrize("end", ["conv1x1:7", "conv3x3:7:same relu", "conv1x1:7 up2", "( skip | relu )"])
def test_losses_of_feature_maps(end: str) -> None:
    """Both engines pass outputs in the network's shape; no image counts as classified."""
    text = f"6x5x2 > conv3x3:8:same:nobias bn relu maxpool2 up2 {end}"
    shape = network(text).output_shape
    compare(text, [3, 4], loss=OfPixels(), target=lambda labels, _: np.tile(labels[:, None, None], (1, *shape[:2])))
    values = {"target": lambda labels, _: np.ones((len(labels), *shape)) * labels.reshape(-1, 1, 1, 1)}
    compare(text, [3, 4], loss=SquaredErrorLoss(), **values)
    assert train("compiled", text, [3], loss=SquaredErrorLoss(), **values).correct == [0]
    for engine in ("numpy", "compiled"):
        with pytest.raises(ShapeError, match=r"the scores must be \(N, K\), one row per image"):
            train(engine, text, [3])


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_inference_agrees_and_leaves_no_trace(dtype: str) -> None:
    text = "9x9x2 > conv3x3:8:same relu dropout0.5 maxpool2 > noisyrelu > fc6 tanh > fc5"
    model = built(text, dtype)
    before = {name: w.copy() for name, w in model.parameters.items()}
    engine = make_engine("compiled", model, CrossEntropyLoss())
    for images, _ in batches(model, [4, 1, 7, 4, 256, 4]):
        outputs = engine.forward(images)
        assert outputs.dtype == model.dtype
        assert_close(outputs, built(text, np.float64)(images), TOLERANCE[dtype])
        kept = outputs.copy()
        engine.forward(images + 1)
        assert np.array_equal(outputs, kept)  # theirs to keep
    assert all(np.array_equal(w, before[name]) for name, w in model.parameters.items())


def test_hits_are_counted_as_the_reference_counts_them() -> None:
    model = built("3x3x1 > fc4", np.float32)
    for w in model.parameters.values():
        w[...] = 0  # every output equal: the first class is said
    engine = make_engine("compiled", model, CrossEntropyLoss())
    images = np.ones((4, 3, 3, 1), np.float32)
    assert engine.train_step(images, np.array([0, 1, 0, 3]), SGD(lr=0.0)).correct == 2
