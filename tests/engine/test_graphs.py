"""Networks with branches on the compiled engine, against the reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from agreement import batches, built, compare, momentum
from hypothesis import given, settings

import rot180
from drawn_graphs import graphs
from rot180.engine import make_engine
from rot180.engine.lifetimes import Border, Memory
from rot180.engine.plan import Plan
from rot180.engine.step import root_of
from rot180.nn import Conv2d, Flatten, Join, Linear, ReLU, Sequential
from rot180.nn.layer import Shape
from rot180.nn.loss import CrossEntropyLoss
from rot180.ops.types import Array
from rot180.training import SGD

RESIDUAL = "9x8x3 > conv3x3:16:same relu > [( conv3x3:16:same relu conv3x3:16:same + skip ) relu]*2 > maxpool2 > fc5"
DENSE = "8x8x3 > conv3x3:12:same > [( skip | relu conv3x3:5:same )]*3 > avgpool2 > fc5"
EVERYTHING = (
    (
        "14x13x3 > conv3x3:20:same leakyrelu > conv3x3:8:same relu maxpool2 > conv3x3:33:same bn relu"
        " > conv3x3:6:s2 tanh avgpool2 noisyrelu dropout0.3 > fc40 relu bn prelu fc7"
    ),
    (
        "9x9x4 > conv3x3:8:same:g4 bn silu ( skip * gap fc4 relu fc8 sigmoid ) conv1x1:9:s2 prelu"
        " > up2 gelu maxpool3:s2 droppath0.3 > ( conv3x3:9:same:g9 bn + skip ) relu conv3x3:4:same gn2 elu"
        " > adaptavg2x2 fc7 softmax"
    ),
)
FORKS = {
    "residual": RESIDUAL,
    "dense": DENSE,
    "projection": "9x9x3 > conv3x3:8 relu > ( conv3x3:16:s2:same relu conv3x3:16:same + conv1x1:16:s2 ) relu > fc5",
    "twice the same": "6x6x3 > conv3x3:9:same relu > ( skip + skip ) relu > fc5",
    "of three": "6x6x3 > conv3x3:9:same > ( conv3x3:9:same relu + skip + conv1x1:9 tanh ) relu > fc5",
    "nested": "6x6x3 > conv1x1:9 > ( ( conv3x3:9:same relu + skip ) relu conv1x1:9 + skip ) > fc5",
    "of the input": "6x6x3 > ( conv3x3:3:same relu + skip + conv1x1:3 ) relu > ( skip | skip ) > fc5",
    "of units": "12 > fc20 relu > ( fc20 relu fc20 + skip ) relu > ( skip | fc7 tanh ) > fc5",
    "different padding": "9x9x2 > conv3x3:9 > ( conv5x5:9:same + conv1x1:9 + conv3x3:9:same ) sigmoid maxpool2 > fc5",
    "few channels": "8x8x3 > conv3x3:4:same relu > ( conv3x3:4:same relu conv3x3:4:same + skip ) relu > fc5",
    "gate": "6x6x3 > conv3x3:8:same relu > ( skip * conv1x1:8 sigmoid ) > fc5",
    "noise": "6x6x3 > conv3x3:8:same relu > ( dropout0.4 conv3x3:8:same noisyrelu droppath0.3 + dropout0.2 ) > fc5",
    "pooled": "9x9x3 > conv3x3:8:same relu > ( maxpool3 | conv3x3:8 relu maxpool3:s2 conv2x2:8:same | avgpool3 ) > fc5",
    "flattened": "6x6x3 > conv3x3:8:same relu > ( flatten fc20 relu + conv3x3:5 relu flatten fc20 ) > fc5",
}


pytestmark = pytest.mark.filterwarnings("ignore:.*has no compiled kernel")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("text", FORKS.values(), ids=FORKS)
def test_training_agrees(text: str, dtype: str) -> None:
    compare(text, [3, 1, 4], dtype=dtype)


@given(graphs())
@settings(max_examples=8, deadline=None)
def test_drawn_graphs_agree(text: str) -> None:
    compare(text if " > fc" in text else f"{text} > fc3", [3, 2], dtype="float64")


@pytest.mark.parametrize("text", FORKS.values(), ids=FORKS)
def test_inference_agrees_in_any_order_of_batches(text: str) -> None:
    model = built(text, "float64")
    engine = make_engine("compiled", model, CrossEntropyLoss())
    for count in (4, 1, 4, 2):
        images, _ = batches(model, [count], seed=count)[0]
        np.testing.assert_allclose(engine.forward(images), model(images), rtol=1e-9, atol=1e-9)


def test_frozen_layers_keep_their_weights_and_pass_delta_on() -> None:
    for engine in ("numpy", "compiled"):
        model = built(RESIDUAL, "float64")
        model.layers[2].lr_factor = 0
        before = {name: w.copy() for name, w in model.parameters.items()}
        runner = make_engine(engine, model, CrossEntropyLoss())
        images, labels = batches(model, [4])[0]
        runner.train_step(images, labels, momentum())
        changed = {name for name, w in model.parameters.items() if not np.array_equal(w, before[name])}
        assert changed == {name for name in before if not name.startswith("conv2.")}


@pytest.mark.parametrize("text", [RESIDUAL, DENSE, FORKS["of three"]])
def test_any_number_of_threads_gives_the_same_bits(text: str) -> None:
    def run(threads: int) -> list[bytes]:
        rot180.set_threads(threads)
        try:
            model = built(text, "float32")
            engine, optimizer = make_engine("compiled", model, CrossEntropyLoss()), SGD(lr=0.1)
            for images, labels in batches(model, [7, 1, 7]):
                engine.train_step(images, labels, optimizer)
            return [engine.forward(images).tobytes(), *(w.tobytes() for w in model.parameters.values())]
        finally:
            rot180.set_threads(None)

    alone = run(1)
    assert all(run(threads) == alone for threads in range(2, rot180.engine.threads.most_threads() + 1))


def plan_of(text: str, *, training: bool) -> Plan:
    model = built(text, "float32")
    engine = make_engine("compiled", model, CrossEntropyLoss())
    return engine.plan(8, SGD(lr=0.1), training=training)  # type: ignore[attr-defined]


def test_a_deep_network_needs_no_more_memory_for_inference_than_a_shallow_one() -> None:
    def maps(blocks: int) -> int:
        text = RESIDUAL.replace("*2", f"*{blocks}")
        plan = plan_of(text, training=False)
        arrays = [array for step in plan.forward for array in step.arrays if array.ndim == 4 and len(array) == 8]
        return sum({id(root_of(array)): root_of(array).nbytes for array in arrays}.values())

    assert maps(8) == maps(2)


def test_a_sum_and_its_relu_run_in_place_of_a_branch() -> None:
    plan = plan_of(RESIDUAL, training=True)
    steps = [step for step in plan.forward if step.layers.startswith("add")]
    assert [step.layers for step in steps] == ["add1 relu3", "add2 relu5"]
    for step in steps:
        a, _, _, out, *_ = step.arguments
        assert a is out
    assert not any(step.does == "move delta" for step in plan.backward if step.layers.startswith("add"))


def test_in_inference_a_convolution_may_write_its_sum_in_place_of_a_branch() -> None:
    plan = plan_of("8x8x4 > ( conv3x3:4:same:s2 + conv1x1:4:s2 ) relu fc3", training=False)
    (step,) = (step for step in plan.forward if step.layers == "conv2 add1 relu1" and step.multiply_adds)
    other, out = step.arguments[6:8]
    assert other is out
    (branch,) = (step for step in plan.forward if step.layers == "conv1" and step.multiply_adds)
    assert branch.arguments[7] is out


class Largest(Join):
    """The larger of two maps: a user's own join."""

    kind = "largest"

    def output_shape(self, *input_shapes: Shape) -> Shape:
        return input_shapes[0]

    def forward(self, *inputs: Array, training: bool = False, generator: Any = None) -> tuple[Array, Array]:
        a, b = inputs
        return np.maximum(a, b), a >= b

    def backward(self, dy: Array, saved: Array, *, needs_dx: bool = True) -> Any:
        return ((dy * saved, dy * ~saved) if needs_dx else None), {}


def test_a_join_of_ones_own_runs_in_numpy() -> None:
    models = []
    for name in ("numpy", "compiled"):
        branches = Largest([Conv2d(4, 3, padding="same")], [])
        layers = [Conv2d(4, 3), ReLU(), branches, Flatten(), Linear(3)]
        model = Sequential(layers, input_shape=(6, 6, 2)).build(dtype="float64")
        engine = make_engine(name, model, CrossEntropyLoss())
        for images, labels in batches(model, [3, 2]):
            engine.train_step(images, labels, momentum())
        models.append(model)
    for name, wanted in models[0].parameters.items():
        np.testing.assert_allclose(models[1].parameters[name], wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("text", [*FORKS.values(), *EVERYTHING], ids=[*FORKS, "many", "more"])
def test_nothing_is_read_before_it_is_written(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shared memory is filled with NaN before each step, except for the zeros around maps."""
    taken: list[tuple[np.ndarray, Border | None]] = []
    take = Memory.take

    def taking(self: Memory, *arguments: Any) -> Any:
        array, buffer = take(self, *arguments)
        if self._blocks is not None:
            taken.append((array, buffer.border))
        return array, buffer

    def spoil() -> None:
        for array, border in taken:
            if border is None:
                array.reshape(-1).view(np.uint8)[...] = 0xFF
            else:
                top, left, height, width = border[-4:]
                array[:, top : top + height, left : left + width] = np.nan

    def results(spoils: bool) -> list[Any]:
        model = built(text, "float32")
        engine, optimizer, found = make_engine("compiled", model, CrossEntropyLoss()), momentum(), []
        for images, labels in batches(model, [5, 2, 5]):
            generator = np.random.default_rng(0)
            if spoils:
                engine.plan(len(images), optimizer), engine.plan(len(images), training=False)  # type: ignore[attr-defined]
                spoil()
            found.append(engine.train_step(images, labels, optimizer, generator))
            if spoils:
                spoil()
            found.append(engine.forward(images).tobytes())
        return [*found, *(w.tobytes() for w in model.parameters.values())]

    expected = results(spoils=False)
    monkeypatch.setattr(Memory, "take", taking)
    assert results(spoils=True) == expected
    assert taken
