"""The compiled engine agrees with the reference on the layers and joins of deeper networks."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from agreement import TOLERANCE, Outcome, assert_agree, assert_close, batches, built, compare, momentum, train
from hypothesis import given, settings
from hypothesis import strategies as st

from rot180.engine import make_engine
from rot180.engine.compiled import CompiledEngine
from rot180.engine.threads import most_threads
from rot180.errors import ShapeError
from rot180.kernels.launching import threads_in_use, use_threads
from rot180.nn import Linear, Sequential, Tanh, network
from rot180.nn.joins import Join
from rot180.nn.layer import Shape
from rot180.nn.loss import CrossEntropyLoss
from rot180.training import SGD

# Convolutions before a normalization have no bias: its gradient is zero but for rounding.
TEXTS = """
6x5x4 > conv3x3:5:same:nobias bn relu > fc7
6x5x4 > conv3x3:5:nobias bn silu conv1x1:6:nobias bn:momentum=0.3 relu6 > gap fc7
6x5x4 > conv3x3:5:nobias bn hardswish conv3x3:6:nobias bn:noaffine leakyrelu conv1x1:4:nobias bn elu > gmp fc7
6x5x4 > conv3x3:5:same:nobias bn > [( conv3x3:5:same:nobias bn relu conv3x3:5:same:nobias bn + skip ) relu]*3 gap fc7
8x8x3 > conv3x3:5:same ( conv3x3:9:s2:same:nobias bn relu conv3x3:9:same:nobias bn + conv1x1:9:s2:nobias bn ) relu fc7
8x8x3 > conv3x3:9:same:nobias bn ( conv3x3:9:same:nobias bn + skip ) ( bn + skip ) gap fc7
6x5x4 > conv3x3:8:same ( skip * gap fc4 relu fc8 sigmoid ) conv3x3:4 > fc7
6x5x4 > conv3x3:8:same ( skip * conv1x1:8 sigmoid ) conv3x3:4 > fc7
6x5x4 > conv3x3:8:same [( skip | bn relu conv3x3:4:same )]*3 gap fc7
6x5x4 > conv3x3:8:same prelu conv3x3:4:same prelu:shared up2 conv3x3:5 gelu up2:bilinear conv3x3:3 silu adaptavg3x2 fc7
6x5x4 > conv3x3:8:same relu6 elu:alpha=0.5 hardsigmoid hardswish gelu:tanh > fc9:nobias bn relu fc7
6x5x4 > bn conv3x3:8:same ( relu + tanh + skip ) gap ( fc8 | skip | sigmoid ) fc7
6x5x4 > conv3x3:8:same gn4 silu conv3x3:6:same:nobias in relu conv1x1:5 ln gelu ( in:affine + gn1 ) relu6 fc6 ln fc7
8x7x9 > ( conv1x1:37:nobias bn relu6 conv3x3:37:same:g37:nobias bn relu6 conv1x1:9:nobias bn + skip ) relu6 gap fc7
8x7x9 > conv1x1:20 relu conv5x5:20:pad2:s2:g20 silu conv1x1:8 bn conv3x3:16:pad1:g8 ( conv1x1:16 bn + skip ) relu fc7
6x5x4 > conv3x3:12:same relu lrn conv1x1:8 shuffle4 lrn2:alpha=0.5 conv3x3:6:same:g2 fc7
6x5x4 > ( skip + skip ) conv3x3:4:same ( skip | skip ) relu fc7
6x5x4 > conv3x3:8:same ( conv3x3:8:same droppath0.4 + skip ) relu droppath0 gap droppath0.3 fc7
""".strip().split("\n")


@pytest.fixture(autouse=True)
def _nothing_runs_in_numpy():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("text", TEXTS)
def test_training(text: str, dtype: str) -> None:
    compare(text, (5, 4), dtype=dtype)


@pytest.mark.parametrize("text", TEXTS)
def test_inference(text: str) -> None:
    model = train("compiled", text, (5, 4)).model
    engine, reference = (make_engine(name, model, CrossEntropyLoss()) for name in ("compiled", "numpy"))
    for images, _ in batches(model, (1, 3)):
        assert_close(engine.forward(images), reference.forward(images), 1e-4)


@pytest.mark.parametrize("groups", [":same", ":g4:same", ":s2"])
@pytest.mark.parametrize("after", ["relu", "relu maxpool2", "silu", ""])
def test_normalization_runs_with_the_convolution(groups: str, after: str) -> None:
    """With the statistics and parameters of the moment."""
    model = built(f"9x8x4 > conv3x3:8{groups} bn {after} fc3", np.float32)
    engine, reference = CompiledEngine(model, CrossEntropyLoss()), make_engine("numpy", model, CrossEntropyLoss())
    assert "normalize" not in [step.does for step in engine.plan(3, training=False).forward]
    rng = np.random.default_rng(3)
    for images, _ in batches(model, (3, 1)):
        for name, array in model.state.items():
            if name.startswith("bn"):
                array[...] = rng.uniform(0.5, 2, array.shape)
        assert_close(engine.forward(images), reference.forward(images), 1e-4)


def test_what_runs_with_convolutions_in_inference() -> None:
    """ReLU6, sums and, after a 1x1 convolution, a depthwise one, and the next 1x1 if threads can share whole images."""
    model = built(
        "9x8x4 > conv3x3:12:same bn relu6 ( conv1x1:24 bn relu6 conv3x3:24:g24:same bn relu6 conv1x1:12 + skip ) relu6 "
        "( conv3x3:12:same bn + skip ) relu fc3",
        np.float32,
    )
    for name, array in model.parameters.items():
        if name.endswith("weight") and array.ndim == 4:
            array *= 9  # so that six is reached
    engine, reference = CompiledEngine(model, CrossEntropyLoss()), make_engine("numpy", model, CrossEntropyLoss())
    many = 2 * most_threads()
    blocks = {1: ["conv2 bn2 relu2 conv3 bn3 relu3", "conv4 add1 relu4"]}
    for count in (1, many):
        steps = dict.fromkeys(step.layers for step in engine.plan(count, training=False).forward)
        block = blocks.get(count, ["conv2 bn2 relu2 conv3 bn3 relu3 conv4 add1 relu4"])
        assert list(steps)[1:] == ["conv1 bn1 relu1", *block, "conv5 bn4 add2 relu5", "fc1"]
    for images, _ in batches(model, (many, 3, 1)):
        outputs = engine.forward(images)
        assert_close(outputs, reference.forward(images), 1e-4)
        if len(images) > 2:  # whoever is left out, the others' outputs are the same
            np.testing.assert_array_equal(engine.forward(images[1:]), outputs[1:])


@st.composite
def drawn_networks(draw: st.DrawFn) -> str:
    """Residual, dense and gated blocks in any order."""
    activation = st.sampled_from(["relu", "relu", "relu6", "silu", "hardswish", "leakyrelu", "prelu", "gelu", "elu"])
    channels = draw(st.sampled_from([3, 8, 16, 20]))
    words = [f"{draw(st.integers(2, 9))}x{draw(st.integers(2, 9))}x{draw(st.integers(1, 4))} >"]
    words.append(f"conv3x3:{channels}:same:nobias bn {draw(activation)}")
    for _ in range(draw(st.integers(1, 4))):
        a, b = draw(activation), draw(activation)
        words.append(
            draw(
                st.sampled_from(
                    [
                        f"( conv3x3:{channels}:same:nobias bn {a} conv1x1:{channels}:nobias bn + skip ) relu",
                        f"( bn {a} conv3x3:{channels}:same + skip )",
                        f"( conv1x1:{channels}:nobias bn + conv3x3:{channels}:same:nobias bn ) {a}",
                        f"( skip * gap fc3 {b} fc{channels} sigmoid )",
                        f"( skip | bn {a} conv3x3:2:same ) conv1x1:{channels} {b}",
                        f"( {a} + {b} + skip )",
                        f"up2 {a} maxpool2",
                    ]
                )
            )
        )
    return " ".join([*words, draw(st.sampled_from(["gap", "gmp", "adaptavg2x1", ""])), "fc5"])


@settings(max_examples=8, deadline=None, derandomize=True)
@given(text=drawn_networks(), counts=st.lists(st.integers(2, 6), min_size=1, max_size=3))
def test_drawn_networks(text: str, counts: list[int]) -> None:
    compare(text, counts, dtype="float64")


def test_the_same_bits_for_any_number_of_threads() -> None:
    """Statistics included."""
    text = "9x9x3 > conv3x3:20:same:nobias bn silu ( conv3x3:20:same:nobias bn + skip ) relu ( skip * gap ) prelu fc5"
    found = []
    before = threads_in_use()
    try:
        for threads in range(1, before + 1):
            use_threads(threads)
            outcome = train("compiled", text, (33, 33))
            found.append({name: array.tobytes() for name, array in outcome.arrays.items()})
    finally:
        use_threads(before)
    assert all(other == found[0] for other in found)


class Difference(Join):
    """A join of a user's own."""

    kind = "difference"

    def output_shape(self, *input_shapes: Shape) -> Shape:
        return input_shapes[0]

    def forward(self, *inputs, training=False, generator=None):
        return inputs[0] - inputs[1], None

    def backward(self, dy, saved, *, needs_dx=True):
        return (dy, -dy) if needs_dx else None, {}


def test_a_join_of_ones_own_runs_in_numpy() -> None:
    warnings.filterwarnings("ignore", ".*Difference has no compiled kernel and runs in NumPy")
    outcomes = []
    for engine in ("numpy", "compiled"):
        layers = [Linear(6), Difference([Linear(5)], [Tanh(), Linear(5)]), Difference([], [Tanh()]), Linear(3)]
        model = Sequential(layers, input_shape=(4,)).build(seed=0, dtype=np.float64)
        runner, optimizer = make_engine(engine, model, CrossEntropyLoss()), momentum()
        outcome = Outcome(model, optimizer)
        for images, labels in batches(model, (5, 4)):
            outcome.losses.append(runner.train_step(images, labels, optimizer).loss)
        outcomes.append(outcome)
    assert_agree(outcomes[1], outcomes[0], 1e-10)


def test_a_refused_batch_teaches_nothing() -> None:
    model = built("4x4x2 > conv3x3:4:same:nobias bn relu > fc3", np.float32)
    engine = make_engine("compiled", model, CrossEntropyLoss())
    before = {name: array.copy() for name, array in model.statistics.items()}
    (images, labels), (good, good_labels) = batches(model, (6, 6))
    images[0, 0, 0, 0] = np.inf
    with np.errstate(all="ignore"):
        assert not engine.train_step(images, labels, SGD(lr=0.1)).finite
    for name, array in model.statistics.items():
        np.testing.assert_array_equal(array, before[name])
    assert engine.train_step(good, good_labels, SGD(lr=0.1), update=False).finite  # accepted, if not yet used
    assert all((array != before[name]).any() for name, array in model.statistics.items())


def test_a_channel_with_a_single_value() -> None:
    model = network("3 > fc4 bn fc2").build(seed=0)
    engine = make_engine("compiled", model, CrossEntropyLoss())
    with pytest.raises(ShapeError, match="a channel needs at least two values to have a variance"):
        engine.train_step(np.ones((1, 3), np.float32), np.zeros(1, int), SGD(lr=0.1))


@pytest.mark.parametrize(("channels", "additions"), [(8, 1), (16, 0)], ids=["direct", "in tiles"])
def test_steps_of_a_residual_block(channels: int, additions: int) -> None:
    """One pass normalizes, adds and rectifies; the gate of the sum is applied as its delta is added up.

    A data gradient in tiles adds itself.
    """
    convolution = f"conv3x3:{channels}:same:nobias bn"
    model = network(f"8x8x{channels} > [( {convolution} relu {convolution} + skip ) relu]*2 gap fc3").build()
    plan = CompiledEngine(model, CrossEntropyLoss()).plan(4)
    forward, backward = ([step.does for step in steps] for steps in (plan.forward, plan.backward))
    assert forward.count("normalize") == 4
    assert not {"add", "activate"} & set(forward)
    assert backward.count("add to delta, gate") == additions
    assert backward.count("ReLU gate") == 1


def test_agreement_is_not_by_chance() -> None:
    expected = train("numpy", TEXTS[0], (5,), dtype=np.float64)
    found = train("compiled", TEXTS[0], (5,))
    found.model.statistics["bn1.running_var"][0] *= 1.001
    with pytest.raises(AssertionError, match=r"bn1\.running_var: off by"):
        assert_agree(found, expected, 1e-4)
