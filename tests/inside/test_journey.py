"""The journey of a batch shows every array in order, truly, and leaves the model as it was."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open

import rot180
from rot180.errors import ArgumentError, ShapeError
from rot180.inside import Journey, journey
from rot180.nn.layer import Layer
from rot180.ops.conv2d import ALGORITHMS
from rot180.ops.recorder import is_listening

SMALL = "6x6x1 > conv3x3:4:same relu maxpool2 > conv2x2:3 relu > fc5 relu > fc3"


def batch(model: rot180.Sequential, count: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    images = generator.integers(256, size=(count, *model.input_shape), dtype=np.uint8)
    return images, generator.integers(model.output_shape[-1], size=count)


@pytest.fixture(scope="module")
def named() -> Journey:
    model = rot180.model("cnn-32-64-512").build(seed=0)
    return journey(model, *batch(model, 32))


def shapes(trip: Journey, phase: str) -> list[tuple[str, tuple[int, ...]]]:
    return [(step.name, step.shape) for step in trip.steps if step.phase == phase]


def test_a_transposed_convolution_multiplies_as_often_as_its_convolution() -> None:
    model = rot180.network("6x6x1 > conv1:2 > convt3x3:4:s2 > fc3").build(seed=0)
    trip = journey(model, *batch(model, 2))
    products = {phase: 0 for phase in ("forward", "backward")}
    for step in trip.steps:
        if step.layer == "convt1" and step.multiply_adds:
            products[step.phase] += step.multiply_adds
    assert products == {"forward": 2 * 36 * 2 * 9 * 4, "backward": 2 * 2 * 36 * 2 * 9 * 4}


def test_forward_of_the_named_network_in_the_order_of_the_articles(named: Journey) -> None:
    assert shapes(named.select("conv2"), "forward") == [
        ("conv2.x", (32, 14, 14, 32)),
        ("conv2.x_pad", (32, 18, 18, 32)),
        ("conv2.x_col", (32 * 196, 800)),
        ("conv2.w_col", (800, 64)),
        ("conv2.y_col", (32 * 196, 64)),
        ("conv2.y", (32, 14, 14, 64)),
    ]
    assert shapes(named.select("pool2"), "forward") == [
        ("pool2.x", (32, 14, 14, 64)),
        ("pool2.winners", (32, 7, 7, 64)),
        ("pool2.y", (32, 7, 7, 64)),
    ]
    assert shapes(named.select("fc1"), "forward")[0] == ("fc1.x", (32, 3136))
    order = list(dict.fromkeys(step.layer for step in named.steps if step.phase == "forward"))
    assert order == "input conv1 relu1 pool1 conv2 relu2 pool2 flatten1 fc1 relu3 fc2".split()


def test_backward_of_the_named_network_in_the_order_of_the_articles(named: Journey) -> None:
    assert shapes(named.select("conv2"), "backward") == [
        ("conv2.delta", (32, 14, 14, 64)),
        ("conv2.delta_spread", (32, 14, 14, 64)),
        ("conv2.delta_pad", (32, 18, 18, 64)),
        ("conv2.w_rot", (5, 5, 64, 32)),
        ("conv2.delta_col", (32 * 196, 1600)),
        ("conv2.w_rot_col", (1600, 32)),
        ("conv2.dx_col", (32 * 196, 32)),
        ("conv2.dx", (32, 14, 14, 32)),
        ("conv2.x_pad", (32, 18, 18, 32)),
        ("conv2.x_col", (32 * 196, 800)),
        ("conv2.dy_col", (32 * 196, 64)),
        ("conv2.dw_col", (800, 64)),
        ("conv2.dw", (5, 5, 32, 64)),
        ("conv2.db", (64,)),
    ]
    gradients = {step.name: step.shape for step in named.steps if step.array in ("dw", "db")}
    assert gradients == {
        "fc2.dw": (512, 10),
        "fc2.db": (10,),
        "fc1.dw": (3136, 512),
        "fc1.db": (512,),
        "conv2.dw": (5, 5, 32, 64),
        "conv2.db": (64,),
        "conv1.dw": (5, 5, 1, 32),
        "conv1.db": (32,),
    }
    assert list(dict.fromkeys(step.layer for step in named.steps if step.phase == "backward")) == (
        "loss fc2 relu3 fc1 flatten1 pool2 relu2 conv2 pool1 relu1 conv1".split()
    )
    assert "conv1.dx" not in {step.name for step in named.steps}  # nobody needs the gradient of the images


def test_the_update_names_moments_and_step_of_every_parameter(named: Journey) -> None:
    names = [step.name for step in named.steps if step.phase == "update"]
    expected = [
        f"{layer}.{parameter}.{array}"
        for layer in ("conv1", "conv2", "fc1", "fc2")
        for parameter in ("weight", "bias")
        for array in ("m", "v", "m_hat", "v_hat", "update")
    ]
    assert names == expected


def test_memory_products_and_lines_of_code(named: Journey) -> None:
    (forward, backward) = named["conv2.x_col"]
    assert forward.bytes == backward.bytes == 32 * 196 * 800 * 4
    assert (forward.phase, backward.phase) == ("forward", "backward")
    products = 32 * 196 * 800 * 64
    made_by_products = {(s.phase, s.name): s.multiply_adds for s in named.select("conv2").steps if s.multiply_adds}
    assert made_by_products == {
        ("forward", "conv2.y_col"): products,
        ("backward", "conv2.dx_col"): products,
        ("backward", "conv2.dw_col"): products,
    }
    assert named.total("forward")[1] == 32 * rot180.model("cnn-32-64-512").summary().multiply_adds
    assert forward.source.file == "ops/conv_im2col.py"
    assert forward.source.code == "x_col = _unfold(x_pad, g, groups)"
    assert named["relu1.gate"][0].source.code == "gate = y > 0"
    assert named["pool1.y"][0].source.code == "np.maximum(y, seen, out=y)"


def test_what_is_handed_on_says_so(named: Journey) -> None:
    assert named["conv2.x"][0].same_as == "pool1.y"
    assert named["conv2.delta"][0].same_as == "relu2.dx"
    assert named["conv2.delta_spread"][0].same_as == "conv2.delta"  # stride 1: nothing to spread
    assert named["conv2.x"][0].source == named["pool1.y"][0].source
    assert named["conv2.dx"][0].same_as == ""


@pytest.mark.parametrize("algorithm", ["im2col", "offsets", "windows", "winograd", "loops", "auto"])
def test_all_algorithms_arrive_at_the_same(algorithm: str) -> None:
    model = rot180.network(SMALL).build(seed=1, dtype=np.float64)
    images, labels = batch(model, 3)
    trip = journey(model, images, labels, algorithm=algorithm, values=True)
    y, saved = model.forward(model.preprocessing(images, dtype=np.float64), training=True)
    loss = rot180.CrossEntropyLoss()
    mean, kept = loss.forward(y, labels)
    _, gradients = model.backward(loss.backward(kept), saved)
    assert trip.loss == pytest.approx(mean)
    np.testing.assert_allclose(trip["fc2.y"][0].values, y, rtol=1e-12)
    for name, gradient in gradients.items():
        layer, _, parameter = name.partition(".")
        found = trip[f"{layer}.d{parameter[0]}"][-1]
        np.testing.assert_allclose(found.values, gradient, rtol=1e-9, atol=1e-14)
        assert found.smallest == gradient.min() or algorithm != "auto"
    arrays = {step.array for step in trip.select("conv2").steps}
    names = {"im2col": "w_rot", "windows": "dx_windows", "offsets": "dx_pad", "loops": "dx_pad", "auto": "dx"}
    assert names.get(algorithm, "w_rot") in arrays  # winograd is for 3x3 and 5x5 only: conv1
    # Each of dx and dw is made of as many products as forward.
    backward = [s.multiply_adds for s in trip.steps if s.phase == "backward" and s.layer == "fc1"]
    assert sum(backward) == 2 * 3 * model.layers[6].multiply_adds((12,))


def test_minimal_filtering_counts_the_products_that_it_makes() -> None:
    text = "9x8x2 > conv3x3:4:same conv3x3:4:s2 conv5x5:3:same convt3x3:2:pad1 > fc3"
    model = rot180.network(text).build(seed=1)
    trip = journey(model, *batch(model, 2), algorithm="winograd")
    made = {(step.phase, step.name): step.multiply_adds for step in trip.steps if step.multiply_adds}
    tiles = 2 * 36 * 6  # two images, points, 4x4 tiles of 9x8
    assert made["forward", "conv1.y_hat"] == made["backward", "conv1.dw_hat"] == tiles * 2 * 4
    assert made["forward", "conv2.y_col"] == 2 * 4 * 3 * 9 * 4 * 4  # stride 2: im2col
    assert made["forward", "conv3.y_hat"] == made["backward", "conv3.dx_hat"] == 2 * 36 * 4 * 4 * 3  # 2x2 tiles of 4x3
    assert made["forward", "convt1.dx_hat"] == made["backward", "convt1.y_hat"] == 2 * 36 * 3 * 2  # one tile of 4x3
    assert trip["conv1.x_hat"][0].source.code == "x_hat = _both(b, x_tiles)"
    assert trip["conv1.x_hat"][0].source.file == "ops/conv_winograd.py"
    without = rot180.network("9x8x2 > conv3x3:4:s2 conv1:3 > fc3").build(seed=1)
    with pytest.raises(ArgumentError, match="groups=1, and no layer has one; choose 'im2col'"):
        journey(without, *batch(without, 2), algorithm="winograd")


def test_statistics_are_those_of_the_values() -> None:
    model = rot180.network(SMALL).build(seed=2)
    trip = journey(model, *batch(model, 4), values=True)
    for step in trip.steps:
        assert step.values is not None
        assert step.shape == step.values.shape
        assert (step.smallest, step.largest) == (step.values.min(), step.values.max())
        assert step.mean == pytest.approx(step.values.mean(dtype=np.float64), abs=1e-12)
        assert step.zeros == pytest.approx(np.mean(step.values == 0))
        assert step.seconds >= 0


def test_overlapping_windows_occupy_the_image_only() -> None:
    model = rot180.network("8x8x2 > conv3x3:2 relu > fc3").build(seed=0)
    trip = journey(model, *batch(model, 2), algorithm="windows")
    assert trip["conv1.x_windows"][0].shape == (2, 6, 6, 3, 3, 2)
    assert trip["conv1.x_windows"][0].bytes == trip["conv1.x"][0].bytes


def test_the_model_and_the_optimizer_stay_as_they_are() -> None:
    model = rot180.network(SMALL).build(seed=3)
    before = {name: array.copy() for name, array in model.parameters.items()}
    optimizer = rot180.SGD(lr=0.1, momentum=0.9)
    trip = journey(model, *batch(model, 2), algorithm="offsets", optimizer=optimizer)
    assert [step.array for step in trip.steps if step.phase == "update"][:2] == ["weight.velocity", "weight.update"]
    assert all(np.array_equal(before[name], array) for name, array in model.parameters.items())
    assert optimizer.step_count == 0
    assert model.layers[0].algorithm == "auto"
    assert not is_listening()


def test_the_update_is_the_optimizers() -> None:
    model = rot180.network(SMALL).build(seed=3)
    images, labels = batch(model, 2)
    trip = journey(model, images, labels, optimizer=rot180.Adam(lr=0.01), values=True, algorithm="auto")
    before = {name: array.copy() for name, array in model.parameters.items()}
    rot180.Trainer(model, optimizer=rot180.Adam(lr=0.01)).step(images, labels)
    for name, array in model.parameters.items():
        np.testing.assert_allclose(trip[f"{name}.update"][0].values, array - before[name], atol=1e-7)


def test_saved_with_values(tmp_path: Path) -> None:
    model = rot180.network(SMALL).build(seed=0)
    trip = journey(model, *batch(model, 2), values=True)
    path = trip.save(tmp_path / "journey.safetensors")
    with safe_open(path, framework="numpy") as file:
        metadata = json.loads(file.metadata()["journey"])
        listed = metadata["arrays"]
        assert [entry["name"] for entry in listed] == [step.name for step in trip.steps]
        assert set(file.keys()) == {entry["key"] for entry in listed}
        for entry, step in zip(listed, trip.steps, strict=True):
            assert np.array_equal(file.get_tensor(entry["key"]), step.values), entry["name"]
    assert metadata["notation"] == SMALL.replace("6x6x1", "6x6x1")
    assert [entry for entry in tmp_path.iterdir()] == [path]
    with pytest.raises(ArgumentError, match="already exists and is not overwritten"):
        trip.save(path)
    with pytest.raises(ArgumentError, match=r"has no values of input\.images; create it with values=True"):
        journey(model, *batch(model, 2)).save(tmp_path / "other.safetensors")


class Doubled(Layer):
    """A layer of the user's own, which records nothing."""

    def forward(self, x: np.ndarray, *, training: bool = False, generator: Any = None) -> tuple[np.ndarray, None]:
        return 2 * x, None

    def backward(self, dy: np.ndarray, saved: None, *, needs_dx: bool = True) -> tuple[np.ndarray | None, dict]:
        return 2 * dy, {}


def test_layers_that_record_nothing_are_seen_from_outside() -> None:
    model = rot180.Sequential([rot180.Flatten(), rot180.Linear(4), Doubled(), rot180.Linear(3)], input_shape=(2, 2, 1))
    trip = journey(model.build(seed=0), *batch(model, 2))
    own = trip.select("layer1").steps
    assert [(step.phase, step.array) for step in own] == [
        ("forward", "x"),
        ("forward", "y"),
        ("backward", "delta"),
        ("backward", "dx"),
    ]
    assert str(own[1].source).startswith("test_journey.py:")
    assert own[1].source.code == "Doubled.forward"


def test_dropout_and_noise_are_on_the_way() -> None:
    model = rot180.network("4x4x1 > fc8 noisyrelu dropout0.5 > fc3").build(seed=0)
    first, second = (journey(model, *batch(model, 4), seed=5, values=True) for _ in range(2))
    assert first["dropout1.mask"][0].zeros > 0
    assert np.array_equal(first["fc2.y"][0].values, second["fc2.y"][0].values)


def test_the_examples_of_the_documentation_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[2] / "docs" / "journey.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, "journey.md", "exec"), names)
    assert len(blocks) == 2


def test_mistakes_are_explained() -> None:
    model = rot180.network(SMALL)
    images, labels = np.zeros((2, 6, 6, 1), np.uint8), np.array([0, 1])
    with pytest.raises(ArgumentError, match="no parameters yet; call build"):
        journey(model, images, labels)
    model.build(seed=0)
    with pytest.raises(ArgumentError, match="unknown algorithm 'im2cols'; did you mean 'im2col'"):
        journey(model, images, labels, algorithm="im2cols")
    with pytest.raises(ShapeError, match="2 images and 1 labels; give one label per image"):
        journey(model, images, labels[:1])
    trip = journey(model, images, labels)
    with pytest.raises(ArgumentError, match="the network has no layer 'conv3'; did you mean 'conv"):
        trip.select("conv3")
    with pytest.raises(ArgumentError, match=r"the journey has no array 'conv2\.xcol'; did you mean 'conv2\.x_col'"):
        trip["conv2.xcol"]


MADE_BY = {
    "m": "mb += scratch  # m = beta1 * m + (1 - beta1) * g",
    "v": "vb += scratch  # v = beta2 * v + (1 - beta2) * g^2",
    "m_hat": "m_hat, v_hat = m / bias1, v / root_bias2**2",
    "v_hat": "m_hat, v_hat = m / bias1, v / root_bias2**2",
    "velocity": "vb += g  # velocity = momentum * velocity + g",
    "square": "sb += scratch  # square = alpha * square + (1 - alpha) * g^2",
    "update": "update = w - before",
}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_array_shows_the_line_that_made_it(algorithm: str) -> None:
    """None the line that recorded it, which makes nothing."""
    every_layer = (
        "6x6x2 > conv3x3:4:same:g2 noisyrelu maxpool2:s1 avgpool2 leakyrelu dropout0.3 > "
        "fc6 tanh fc5 sigmoid fc4 softmax fc3"
    )
    if algorithm == "winograd":
        every_layer = every_layer.replace(":g2", "")
    model = rot180.network(every_layer).build(seed=0)
    optimizers = ("sgd", "adam", "adamw", "rmsprop", rot180.SGD(0.1, 0.9), rot180.SGD(0.1, 0.9, nesterov=True))
    for optimizer in optimizers if algorithm == "im2col" else ("sgd",):
        for step in journey(model, *batch(model, 2), algorithm=algorithm, optimizer=optimizer).steps:
            assert "record" not in step.source.code, step
            if step.phase == "update":
                assert step.source.code == MADE_BY[step.name.rpartition(".")[2]]


def test_a_step_that_is_made_orthogonal() -> None:
    model = rot180.network("6x6x2 > conv3x3:4 relu > fc3").build(seed=0)
    steps = {
        s.name: s.source.code for s in journey(model, *batch(model, 2), optimizer="muon").steps if s.phase == "update"
    }
    assert steps["conv1.weight.m"] == "m += share"
    assert steps["conv1.weight.direction"] == "direction = direction.reshape(w.shape)"
    assert steps["fc1.weight.m"] == MADE_BY["m"]


RESIDUAL = (
    "6x6x2 > conv3x3:4:same bn relu > ( conv3x3:4:same:g4 bn relu6 conv1:4 in:affine + skip ) relu "
    "> ( skip | convt3x3:4:pad1 gn2 ) ( skip * gap fc8 hardsigmoid ) up2 shuffle2 > ln prelu lrn > gmp > fc5"
)


def test_a_network_with_branches_and_normalization() -> None:
    model = rot180.network(RESIDUAL).build(seed=0)
    before = {name: array.copy() for name, array in model.state.items()}
    trip = journey(model, *batch(model, 3))
    for step in trip.steps:
        assert "record" not in step.source.code, step
        assert step.source.code or step.name == "input.images", step
    assert [step.same_as for step in (trip["add1.x1"][0], trip["add1.x2"][0])] == ["in1.y", "relu1.y"]
    made = {step.name: step.source.code for step in trip.steps if not step.same_as}
    assert made["bn1.xhat"] == "xhat = (x - mean) / np.sqrt(var + x.dtype.type(eps))"
    assert made["relu1.delta"].startswith("deltas[source] = deltas[source] + dx")
    for name, array in model.state.items():  # nothing is learned by looking
        np.testing.assert_array_equal(array, before[name])
    summed = sum(model.layers[place].multiply_adds(shapes.input) for place, shapes in enumerate(model.layer_shapes))
    assert trip.total("forward")[1] == 3 * summed


def test_a_line_that_was_passed_over_is_not_shown() -> None:
    model = rot180.network("4x4x1 > conv3x3:2:nobias > fc3").build(seed=0)
    trip = journey(model, *batch(model, 2))
    made = {step.name: step.source.code for step in trip.steps if not step.same_as}
    assert made["conv1.y"].startswith("y: Array = _module(")  # not y += b
    assert made["loss.dlogits"] == "dlogits /= n"  # not dlogits *= weights
    assert made["fc1.y"] == "y = y + b"
