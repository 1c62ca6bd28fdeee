"""What the compiled engine keeps: whoever replaces parameters or state between two steps is heard."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
import pytest
from agreement import Outcome, assert_agree, assert_close, batches, built, momentum

from rot180.engine import Engine, make_engine
from rot180.errors import ArgumentError, ShapeError
from rot180.nn import Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential
from rot180.nn.layer import Layer, Shape
from rot180.nn.loss import CrossEntropyLoss, SquaredErrorLoss
from rot180.training import SGD, Adam, Trainer

TEXT = "7x7x2 > conv3x3:8:same relu maxpool2 > fc9 relu > fc5"


def pair() -> tuple[Sequential, Sequential, Engine, Engine]:
    """A network for each engine."""
    models = built(TEXT, np.float32), built(TEXT, np.float64)
    fast, plain = (make_engine(n, m, CrossEntropyLoss()) for n, m in zip(("compiled", "numpy"), models, strict=True))
    return *models, fast, plain


def step(engine: Engine, optimizer: Any, seed: int = 0, count: int = 4) -> float:
    ((images, labels),) = batches(engine.model, [count], seed)
    return engine.train_step(images, labels, optimizer, np.random.default_rng(0)).loss


def test_arrays_stay_where_the_user_finds_them() -> None:
    model, _, engine, _ = pair()
    optimizer = momentum()
    step(engine, optimizer)
    held, velocity = model.parameters["conv1.weight"], optimizer.state["velocity"]["fc1.weight"]
    before = held.copy(), velocity.copy()
    step(engine, optimizer)
    assert model.parameters["conv1.weight"] is held
    assert optimizer.state["velocity"]["fc1.weight"] is velocity
    assert not np.array_equal(held, before[0])
    assert not np.array_equal(velocity, before[1])


def test_parameters_that_the_user_changes_or_replaces_are_used() -> None:
    model, plain_model, engine, plain = pair()
    a, b = momentum(), momentum()
    for change in range(4):
        assert step(engine, a, change) == pytest.approx(step(plain, b, change), rel=1e-5)
        for m in (model, plain_model):
            if change == 0:
                m.parameters["conv1.weight"][0] *= 0.5
            elif change == 1:
                m.load_parameters({name: 0.9 * w for name, w in m.parameters.items()})
            else:
                for layer in m.layers:
                    layer.parameters = {name: 1.1 * w for name, w in layer.parameters.items()}
        ((images, _),) = batches(plain_model, [3])
        assert_close(engine.forward(images.astype(np.float32)), plain.forward(images), 1e-4)
    assert_agree(Outcome(model, a), Outcome(plain_model, b), 1e-4)


def test_an_optimizer_that_the_user_sets_back_or_exchanges_is_used() -> None:
    model, plain_model, engine, plain = pair()
    a, b = Adam(lr=0.01, eps=1e-3), Adam(lr=0.01, eps=1e-3)
    for seed in range(2):
        step(engine, a, seed), step(plain, b, seed)
    for optimizer in (a, b):
        state = {name: 0.5 * array for name, array in optimizer.state_dict().items()}
        optimizer.load_state({**state, "step_count": np.array(7)})
    step(engine, a, 2), step(plain, b, 2)
    assert a.step_count == 8
    assert_agree(Outcome(model, a), Outcome(plain_model, b), 1e-4)
    a, b = SGD(lr=0.1, momentum=0.9), SGD(lr=0.1, momentum=0.9)
    for seed in range(2):
        a.lr = b.lr = 0.1 / (1 + seed)
        step(engine, a, seed), step(plain, b, seed)
    assert_agree(Outcome(model, a), Outcome(plain_model, b), 1e-4)


@pytest.mark.parametrize("name", ["signs", "sgd"])  # a rule of its own, or the inherited one
def test_an_optimizer_of_the_users_own_is_called(name: str) -> None:
    class Signs(SGD):
        rule = name

        def update(self, parameters: Any, gradients: Any, lr_factors: Any) -> None:
            self.prepare(parameters)
            self.step_count += 1
            for name, w in parameters.items():
                w -= self.lr * lr_factors[name] * np.sign(gradients[name])

    model, plain_model, engine, plain = pair()
    a, b = Signs(lr=0.01), Signs(lr=0.01)
    for seed in range(3):
        step(engine, a, seed), step(plain, b, seed)
    assert_agree(Outcome(model, a), Outcome(plain_model, b), 1e-4)


def test_two_engines_on_one_model() -> None:
    model, plain_model, engine, plain = pair()
    other = make_engine("compiled", model, CrossEntropyLoss())
    a, b = momentum(), momentum()
    for seed in range(4):
        step(engine if seed % 2 else other, a, seed), step(plain, b, seed)
    assert_agree(Outcome(model, a), Outcome(plain_model, b), 1e-4)


def test_a_copied_trainer_goes_on_by_itself() -> None:
    trainer = Trainer(built(TEXT, np.float32), engine="compiled", optimizer=momentum())
    parts = batches(trainer.model, [4, 3, 5, 4])
    for index, (images, labels) in enumerate(parts[:2]):
        trainer.run_batch(images, labels, update=index == 0)
    twin = copy.deepcopy(trainer)
    before = {name: w.copy() for name, w in trainer.model.parameters.items()}
    for images, labels in parts[2:]:
        twin.step(images, labels)
    assert all(np.array_equal(w, before[name]) for name, w in trainer.model.parameters.items())
    for images, labels in parts[2:]:
        trainer.step(images, labels)
    assert all(np.array_equal(w, twin.model.parameters[name]) for name, w in trainer.model.parameters.items())


class Halved(Layer):
    """A layer that nobody has compiled: w * x / 2."""

    kind = "halved"
    has_parameters = True

    def output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def parameter_shapes(self, input_shape: Shape) -> dict[str, Shape]:
        return {"weight": (input_shape[-1],)}

    def build(self, input_shape: Shape, generator: np.random.Generator, dtype: Any = np.float32, **_: Any) -> None:
        self.parameters = {"weight": np.linspace(0.5, 2, input_shape[-1], dtype=dtype)}

    def forward(self, x: Any, *, training: bool = False, generator: Any = None) -> tuple[Any, Any]:
        return self.parameters["weight"] * x / 2, x

    def backward(self, dy: Any, saved: Any, *, needs_dx: bool = True) -> tuple[Any, dict[str, Any]]:
        axes = tuple(range(dy.ndim - 1))
        return (self.parameters["weight"] * dy / 2 if needs_dx else None), {"weight": (dy * saved / 2).sum(axes)}


@pytest.mark.parametrize("place", [0, 1, 2, 3, 4, 6])
def test_a_layer_of_the_users_own_runs_and_is_told_of_once(place: int) -> None:
    class Own(Halved):
        pass

    def make(dtype: Any) -> Sequential:
        layers = [Conv2d(6, 3, padding="same"), ReLU(), MaxPool2d(2), Flatten(), Linear(9), Linear(5)]
        layers.insert(place, Own())
        return Sequential(layers, input_shape=(6, 6, 2)).build(seed=0, dtype=dtype)

    model, plain_model = make(np.float32), make(np.float64)
    plain_model.load_parameters(model.parameters)
    a, b = momentum(), momentum()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for name, m, optimizer in (("compiled", model, a), ("numpy", plain_model, b)):
            engine = make_engine(name, m, CrossEntropyLoss())
            for count in (3, 4, 3):
                step(engine, optimizer, count, count)
    assert [str(w.message) for w in told] == ["halved1: Own has no compiled kernel and runs in NumPy"]
    assert_agree(Outcome(model, a), Outcome(plain_model, b), 1e-4)


@pytest.mark.parametrize("labels", [[0, 1, 5], [0, -1, 2]])
def test_labels_that_no_output_stands_for(labels: list[int]) -> None:
    for engine in ("compiled", "numpy"):
        trainer = Trainer(built(TEXT, np.float32), engine=engine)
        before = {name: w.copy() for name, w in trainer.model.parameters.items()}
        with pytest.raises((ArgumentError, ShapeError), match="label"):
            trainer.step(np.zeros((3, 7, 7, 2)), np.array(labels))
        assert all(np.array_equal(w, before[name]) for name, w in trainer.model.parameters.items())
        assert trainer.optimizer.step_count == 0


def test_targets_of_another_shape_are_refused() -> None:
    for engine in ("compiled", "numpy"):
        trainer = Trainer(built(TEXT, np.float32), engine=engine)
        with pytest.raises((ArgumentError, ShapeError), match="target"):
            trainer.step(np.zeros((3, 7, 7, 2)), np.ones((3, 4)))


@pytest.mark.parametrize("loss", [CrossEntropyLoss(), SquaredErrorLoss()])
@pytest.mark.parametrize("labels", [np.array([1]), np.array([0.0, 1.0]), np.array([True, False]), np.array(3)])
@pytest.mark.parametrize("name", ["compiled", "numpy"])
def test_labels_are_not_stretched_nor_rounded(name: str, labels: np.ndarray, loss: Any) -> None:
    engine = make_engine(name, built(TEXT, np.float32), loss)
    with pytest.raises((ArgumentError, ShapeError), match="label"):
        engine.train_step(np.zeros((2, 7, 7, 2), np.float32), labels, SGD(lr=0.1))


def test_a_batch_of_no_images() -> None:
    for name in ("compiled", "numpy"):
        engine = make_engine(name, built(TEXT, np.float32), CrossEntropyLoss())
        none = np.zeros((0, 7, 7, 2), np.float32)
        assert engine.forward(none).shape == (0, 5)
        with pytest.raises(ShapeError, match="empty"):
            engine.train_step(none, np.zeros(0, int), SGD(lr=0.1))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("where", ["image", "weight"])
def test_a_step_that_is_not_finite_changes_nothing(bad: float, where: str) -> None:
    model, _, engine, _ = pair()
    optimizer = Adam()
    step(engine, optimizer)
    if where == "weight":
        model.parameters["fc1.weight"][0, 0] = bad
    before = {name: w.copy() for name, w in model.parameters.items()}
    moments = {s: {name: w.copy() for name, w in arrays.items()} for s, arrays in optimizer.state.items()}
    ((images, labels),) = batches(model, [4])
    if where == "image":
        images[1, 2, 3, 0] = bad
    with np.errstate(all="ignore"):
        result = engine.train_step(images, labels, optimizer)
    assert not result.finite or not np.isfinite(result.loss)
    assert all(np.array_equal(w, before[name], equal_nan=True) for name, w in model.parameters.items())
    for slot, arrays in moments.items():
        assert all(np.array_equal(w, optimizer.state[slot][name]) for name, w in arrays.items())
    assert optimizer.step_count == 1


@pytest.mark.parametrize("name", ["compiled", "numpy"])
@pytest.mark.parametrize("layers", ["fc4 tanh", "fc4 sigmoid > fc3", "flatten fc4 relu"])
def test_infinity_that_the_loss_does_not_see_changes_nothing(layers: str, name: str) -> None:
    model = built(f"3x3x1 > {layers} > fc2", np.float32)
    np.abs(model.parameters["fc1.weight"], out=model.parameters["fc1.weight"])
    before = {key: w.copy() for key, w in model.parameters.items()}
    images = np.ones((2, 3, 3, 1), np.float32)
    images[0, 1, 1] = -np.inf
    with np.errstate(all="ignore"):
        result = make_engine(name, model, CrossEntropyLoss()).train_step(images, np.array([0, 1]), SGD(lr=0.1))
    assert np.isfinite(result.loss)
    assert not result.finite
    if name == "compiled":
        assert all(np.array_equal(w, before[key]) for key, w in model.parameters.items())


@pytest.mark.parametrize("layers", ["conv2x2:4", "conv1x1:4 maxpool2"])
def test_a_gradient_that_overflows_although_the_loss_does_not_is_told_of(layers: str) -> None:
    model = built(f"2x2x1 > {layers} > fc3", np.float32)
    for name, w in model.parameters.items():
        w[...] = 0 if name.startswith("conv") else 1e3 * np.arange(w.size).reshape(w.shape)
    model.parameters["conv1.bias"][...] = 1e-3
    before = {name: w.copy() for name, w in model.parameters.items()}
    images, labels = np.full((16, 2, 2, 1), 3e38, np.float32), np.zeros(16, np.int64)
    with np.errstate(all="ignore"):
        result = make_engine("compiled", model, CrossEntropyLoss()).train_step(images, labels, SGD(lr=0.1))
    assert np.isfinite(result.loss)
    assert not result.finite
    assert all(np.array_equal(w, before[name]) for name, w in model.parameters.items() if name.startswith("conv"))


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("layers", ["conv1x1:4 relu maxpool2", "conv1x1:4 maxpool2 relu", "conv1x1:4 > maxpool2"])
def test_a_pixel_that_is_no_number_is_not_pooled_away(layers: str, place: int) -> None:
    engine = make_engine("compiled", built(f"2x2x1 > {layers} > fc3", np.float32), CrossEntropyLoss())
    images = np.ones((2, 2, 2, 1), np.float32)
    images[0].flat[place] = np.nan
    assert np.isnan(engine.forward(images)[0]).all()
    assert np.isfinite(engine.forward(images)[1]).all()
    assert not engine.train_step(images, np.array([0, 1]), SGD(lr=0.1)).finite
