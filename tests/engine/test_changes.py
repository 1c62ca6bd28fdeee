"""Between two steps: what a user changes is obeyed or refused, by both engines, and parameters never move."""

from __future__ import annotations

import copy
import inspect
import pickle  # noqa: TID251  # a model in another process comes through one
from typing import Any

import numpy as np
import pytest
from changes import compare_drawn
from composite import Residual, Shared

from rot180 import fit, network
from rot180.errors import ArgumentError, NonFiniteError, Rot180Error, ShapeError
from rot180.nn import LAYERS, LOSSES, Conv2d, Dropout, Flatten, LeakyReLU, Linear, MaxPool2d, ReLU, Sequential
from rot180.nn.hyper import Checked
from rot180.nn.layer import Layer
from rot180.training import OPTIMIZERS, SGD, Optimizer, Trainer, capture
from rot180.training.inference import inference_engine

pytestmark = pytest.mark.filterwarnings("ignore:.* has no compiled kernel")

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(24, 8, 8, 2)).astype(np.float32)
LABELS = RNG.integers(0, 5, 24)
ENGINES = ("compiled", "numpy")


@pytest.mark.parametrize("seed", range(12))
def test_engines_agree_whatever_is_changed(seed: int) -> None:
    assert compare_drawn(seed)


def make(engine: str = "compiled", dtype: Any = np.float64) -> Trainer:
    layers = [
        Conv2d(4, 3, padding="same"), LeakyReLU(0.1), MaxPool2d(2), Residual(), Dropout(0.2), Flatten(), Linear(6),
        ReLU(), Linear(5),
    ]  # fmt: skip
    model = Sequential(layers, input_shape=(8, 8, 2)).build(seed=1, dtype=dtype)
    return Trainer(model, optimizer=SGD(0.05, momentum=0.9), engine=engine)


def steps(trainer: Trainer, count: int = 2, start: int = 0) -> None:
    for step in range(start, start + count):
        trainer.step(IMAGES[step % 4 * 6 :][:6], LABELS[step % 4 * 6 :][:6])


def assert_same(a: Sequential, b: Sequential, tolerance: float = 1e-9) -> None:
    for name, array in b.parameters.items():
        np.testing.assert_allclose(a.parameters[name], array, atol=tolerance, err_msg=name)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: setattr(t.model.layers[0], "lr_factor", 0.0),
        lambda t: setattr(t.model.layers[3], "lr_factor", 0.25),
        lambda t: setattr(t.model.layers[6], "lr_factor", 3.0),
        lambda t: setattr(t.model.layers[1], "slope", 0.7),
        lambda t: setattr(t.model.layers[4], "rate", 0.6),
        lambda t: setattr(t.model.layers[4], "rate", 0.0),
        lambda t: setattr(t.optimizer, "momentum", 0.0),
        lambda t: setattr(t.optimizer, "nesterov", True),
        lambda t: setattr(t.optimizer, "weight_decay", 0.1),
        lambda t: setattr(t.optimizer, "state", {}),
        lambda t: t.optimizer.state.clear(),
        lambda t: t.optimizer.state["velocity"].clear(),
        lambda t: setattr(t.loss, "label_smoothing", 0.3),
        lambda t: setattr(t, "loss", "squared_error"),
        lambda t: t.model.build(seed=5, dtype=np.float64),
    ],
)
def test_what_is_changed_makes_a_difference_and_the_same_to_both(change: Any) -> None:
    ends = {}
    for engine in ENGINES:
        trainer, unchanged = make(engine), make(engine)
        steps(trainer), steps(unchanged)
        change(trainer)
        steps(trainer, 3, 2), steps(unchanged, 3, 2)
        ends[engine] = trainer.model
        pairs = zip(trainer.model.parameters.values(), unchanged.model.parameters.values(), strict=True)
        assert not all(np.allclose(a, b) for a, b in pairs)
    assert_same(ends["compiled"], ends["numpy"])


def test_another_type() -> None:
    ends = []
    for engine in ENGINES:
        trainer = make(engine, np.float32)
        steps(trainer)
        trainer.model.build(seed=2, dtype=np.float64)
        steps(trainer)
        assert {
            a.dtype for a in (*trainer.model.parameters.values(), *trainer.optimizer.state["velocity"].values())
        } == {np.dtype(np.float64)}
        ends.append(trainer.model)
    assert_same(*ends, 1e-6)  # the velocity was still in float32


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            lambda m: setattr(m.layers[0], "stride", 2),
            ArgumentError,
            "output would be .* call build again, or restore it",
        ),
        (lambda m: setattr(m.layers[0], "bias", False), ArgumentError, "its parameters would be .* call build again"),
        (
            lambda m: setattr(m.layers[0], "name", "other"),
            ArgumentError,
            "name of a layer cannot change after the network is built",
        ),
        (lambda m: m.layers[0].parameters.pop("bias"), ArgumentError, "built with .* restore them"),
        (lambda m: m.layers[0].parameters.update(bias=np.zeros((4, 1))), ShapeError, r"must be \(4,\) of floats"),
        (lambda m: m.layers[6].parameters.update(bias=np.zeros(6, int)), ShapeError, "of floats; it is .* of int"),
        (
            lambda m: m.layers[3].parameters.update({"first.bias": m.parameters["conv1.bias"]}),
            ArgumentError,
            "residual1.first.bias and conv1.bias share memory",
        ),
    ],
)
def test_what_a_built_network_cannot_follow_is_refused_until_it_is_set_back(
    engine: str, change: Any, error: type[Rot180Error], message: str
) -> None:
    trainer = make(engine)
    steps(trainer)
    before = {name: (array, array.copy()) for name, array in trainer.model.parameters.items()}
    change(trainer.model)
    for use in (lambda: steps(trainer, 1), lambda: inference_engine(engine, trainer.model).forward(IMAGES)):
        with pytest.raises(error, match=message):
            use()
    assert all(np.array_equal(array, values) for array, values in before.values())


def test_layers_and_models_are_not_exchanged() -> None:
    trainer = make()
    with pytest.raises(ArgumentError, match="the layers of a network are fixed"):
        trainer.model.layers = trainer.model.layers[:-1]
    with pytest.raises(AttributeError):
        trainer.model = trainer.model  # type: ignore[misc]


@pytest.mark.parametrize("kind", [*LAYERS.values(), *OPTIMIZERS.values(), *LOSSES.values()])
def test_every_hyper_parameter_is_checked_whenever_it_is_set(kind: type) -> None:
    unchecked = {"lr"} if kind in OPTIMIZERS.values() else set()  # set by the schedule before each step
    for name in inspect.signature(kind).parameters.keys() - unchecked:
        assert isinstance(inspect.getattr_static(kind, name), Checked), name


def test_a_value_is_refused_where_it_is_set() -> None:
    dropout, adam = Dropout(0.5), OPTIMIZERS["adam"]()
    with pytest.raises(ArgumentError, match=r"Dropout: rate must be a number, at least 0 and below 1; it is 1.5"):
        dropout.rate = 1.5
    with pytest.raises(ArgumentError, match=r"adam: betas\[1\] must be a number"):
        adam.betas = (0.9, 2)
    assert (dropout.rate, adam.betas) == (0.5, (0.9, 0.999))


# Holders of arrays


@pytest.mark.parametrize("engine", ENGINES)
def test_arrays_never_move(engine: str) -> None:
    trainer = make(engine)
    residual = trainer.model.layers[3]
    held = {
        **trainer.model.parameters,
        **{f"velocity of {n}": a for n, a in trainer.optimizer.state["velocity"].items()},
    }
    steps(trainer)
    trainer.model.layers[1].slope = 0.3
    steps(trainer)
    trainer.model.load_parameters({name: 0.9 * w for name, w in trainer.model.parameters.items()})
    trainer.model.layers[0].parameters = {name: 1.1 * w for name, w in trainer.model.layers[0].parameters.items()}
    residual.parameters["first.weight"] = 0.5 * residual.parameters["first.weight"]
    steps(trainer)
    inference_engine(engine, trainer.model).forward(IMAGES)
    for name, array in trainer.model.parameters.items():
        assert array is held[name], name
    for name, array in trainer.optimizer.state["velocity"].items():
        assert array is held[f"velocity of {name}"], name
    assert residual.first.parameters["weight"] is residual.parameters["first.weight"]


@pytest.mark.parametrize("way", ["as it is", "deepcopy", "pickle", "deepcopy of the trainer", "loaded", "built again"])
def test_a_composite_layer_trains_alike_on_both_engines(way: str) -> None:
    ends = []
    for engine in ENGINES:
        trainer = make(engine)
        if way == "built again":
            trainer.model.build(seed=4, dtype=np.float64)
        steps(trainer, 3)
        model = trainer.model
        if way == "deepcopy of the trainer":
            trainer = copy.deepcopy(trainer)
        elif way in ("deepcopy", "pickle", "loaded"):
            twin = pickle.loads(pickle.dumps(model)) if way == "pickle" else copy.deepcopy(model)  # noqa: S301
            if way == "loaded":
                twin.build(seed=9, dtype=np.float64)
                twin.load_parameters(model.parameters)
            before = copy.deepcopy(model.parameters)
            trainer = Trainer(twin, optimizer=SGD(0.05, momentum=0.9), engine=engine)
            steps(trainer, 1)
            assert all(np.array_equal(w, before[name]) for name, w in model.parameters.items())
        steps(trainer, 4)
        residual = trainer.model.layers[3]
        assert residual.first.parameters["weight"] is residual.parameters["first.weight"]
        ends.append(trainer.model)
    assert_same(*ends)


def test_a_composite_layer_is_resumed_to_the_same_bits() -> None:
    for engine in ENGINES:
        states: list[Any] = []

        def keep(event: Any, states: list[Any] = states) -> None:
            if type(event).__name__ == "TrainingStarted":
                states.append(event)
            elif type(event).__name__ == "StepDone" and event.batch == 3 and len(states) == 1:
                started = states[0]
                states.append(copy.deepcopy(capture(started.trainer, started.settings, started.progress, 24)))

        options: dict[str, Any] = {"epochs": 2, "batch_size": 6, "engine": engine, "seed": 3}
        whole, resumed = make(engine).model, make(engine).model
        fit(whole, (IMAGES, LABELS), subscribers=[keep], **options)
        fit(resumed, (IMAGES, LABELS), resume=states[1], **options)
        assert all(np.array_equal(w, whole.parameters[name]) for name, w in resumed.parameters.items())


def test_parameters_of_one_layer_may_be_views_of_its_array_but_not_of_each_other() -> None:
    class Twice(Shared):
        def build(self, *arguments: Any, **options: Any) -> None:
            super().build(*arguments, **options)
            self.parameters["again"] = self.parameters["scale"]

    Sequential([Shared(), Flatten(), Linear(2)], input_shape=(3, 3, 2)).build()
    with pytest.raises(ArgumentError, match=r"shared1.again and shared1.scale share memory"):
        Sequential([Twice(), Flatten(), Linear(2)], input_shape=(3, 3, 2)).build()


def test_parameters_of_another_type_are_refused() -> None:
    class Double(Shared):
        def build(self, *arguments: Any, **options: Any) -> None:
            super().build(*arguments, **{**options, "dtype": np.float64})

    with pytest.raises(ArgumentError, match=r"shared1.scale must be a writeable array of float32, .* it is float64"):
        Sequential([Double(), Flatten(), Linear(2)], input_shape=(3, 3, 2)).build()


# What a layer of one's own promises


class Mean(Layer):
    def forward(self, x: Any, *, training: bool = False, generator: Any = None) -> Any:
        return x.mean(axis=(1, 2)), x.shape

    def backward(self, dy: Any, saved: Any, *, needs_dx: bool = True) -> Any:
        return np.ones(saved, dy.dtype) * dy[:, None, None] / (saved[1] * saved[2]), {}


def test_a_forgotten_output_shape_is_named() -> None:
    with pytest.raises(ShapeError, match=r"fc1: gets \(8, 8, 2\), as layer1 does not say .* define Mean.output_shape"):
        Sequential([Mean(), Linear(5)], input_shape=(8, 8, 2))
    for engine in ENGINES:
        trainer = Trainer(Sequential([Mean(), Flatten(), Linear(5)], input_shape=(8, 8, 2)), engine=engine)
        with pytest.raises(ShapeError, match=r"layer1: forward returns \(6, 2\) for .* output_shape promises"):
            steps(trainer)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("gradients", "error", "message"),
    [
        ({}, ArgumentError, "must return a gradient for each of its parameters"),
        ({"scale": np.zeros(2), "shift": np.zeros(2), "more": np.zeros(2)}, ArgumentError, "it returns .*'more'"),
        ({"scale": np.zeros(1), "shift": np.zeros(2)}, ShapeError, "the gradient of scale must have its shape"),
    ],
)
def test_gradients_that_are_missing_or_do_not_fit(engine: str, gradients: Any, error: Any, message: str) -> None:
    class Wrong(Shared):
        def backward(self, dy: Any, saved: Any, *, needs_dx: bool = True) -> Any:
            return dy, gradients

    trainer = Trainer(Sequential([Wrong(), Flatten(), Linear(5)], input_shape=(8, 8, 2)), engine=engine)
    with pytest.raises(error, match=message):
        steps(trainer)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_place_of_a_nan_is_found_where_an_own_layer_draws(engine: str) -> None:
    class Rare(Layer):
        """Now and then, and only where it draws so, infinite."""

        kind = "rare"

        def forward(self, x: Any, *, training: bool = False, generator: Any = None) -> Any:
            return x * np.where(generator.random(x.shape) > 0.999, np.inf, 1).astype(x.dtype), None

        def backward(self, dy: Any, saved: Any, *, needs_dx: bool = True) -> Any:
            return dy, {}

    for seed in range(3):
        trainer = Trainer(Sequential([Rare(), Flatten(), Linear(5)], input_shape=(8, 8, 2)), engine=engine, seed=seed)
        with pytest.raises(NonFiniteError, match="the output of rare1"):
            steps(trainer, 40)


@pytest.mark.usefixtures("brief_comparisons")
def test_own_layers_are_seen_by_cost_compare_health_and_check() -> None:
    from rot180.inside.check import check
    from rot180.inside.comparison import compare
    from rot180.inside.costs import cost
    from rot180.inside.health import health

    layers = [Residual(), ReLU(), Conv2d(3, 3), Flatten(), Linear(5)]
    model = Sequential(layers, input_shape=(8, 8, 2))
    assert model.summary().rows[0].parameters == cost(model, 2).layers[0].parameters == 76
    assert check(model, coordinates=4, directions=1).passed
    # nothing stands below the first layer that learns, so no data gradient is measured for it: here that is not conv1
    assert any(way.backward for way in compare(model, 2).ways)
    model.build()
    report = health(model, images=IMAGES, labels=LABELS)
    assert "residual1" in str(report.to_dict())


def test_a_layer_that_is_read_by_another_is_read_as_it_is_trained() -> None:
    class Tied(Layer):
        """Adds the mean of another layer's weight, which it found when it was built."""

        def __init__(self, other: Conv2d) -> None:
            super().__init__()
            self.other = other

        def build(self, *_: Any, **__: Any) -> None:
            self.w = self.other.weight

        def forward(self, x: Any, *, training: bool = False, generator: Any = None) -> Any:
            return x + self.w.mean(), None

        def backward(self, dy: Any, saved: Any, *, needs_dx: bool = True) -> Any:
            return dy, {}

    ends = []
    for engine in ENGINES:
        conv = Conv2d(3, 3)
        model = Sequential([conv, Tied(conv), ReLU(), Flatten(), Linear(5)], input_shape=(8, 8, 2))
        model = copy.deepcopy(model.build(dtype=np.float64))
        trainer = Trainer(model, optimizer=SGD(0.1), engine=engine)
        steps(trainer, 4)
        assert model.layers[1].w is model.parameters["conv1.weight"]
        ends.append(model)
    assert_same(*ends)


def test_one_rule_for_training_and_inference() -> None:
    model = network("8x8x2 > conv3x3:4 leakyrelu > fc5").build(dtype=np.float64)
    fast, plain = inference_engine("compiled", model), inference_engine("numpy", model)
    for slope in (0.1, 0.9):
        model.layers[1].slope = slope
        np.testing.assert_allclose(fast.forward(IMAGES), plain.forward(IMAGES), atol=1e-12)
        assert inference_engine("compiled", model) is fast


@pytest.mark.parametrize("engine", ENGINES)
def test_an_optimizer_that_tells_no_hyper_parameters_is_called_and_keeps_its_arrays(engine: str) -> None:
    class Signs(Optimizer):
        rule = "signs"
        slots = ("last",)

        def _update_one(self, name: str, w: Any, dw: Any, lr: float) -> None:
            np.sign(dw, out=self.state["last"][name])
            w -= lr * self.state["last"][name]

    trainer = Trainer(make(engine).model, optimizer=Signs(0.01), engine=engine)
    held = dict(trainer.optimizer.state["last"])
    before = copy.deepcopy(trainer.model.parameters)
    steps(trainer)
    assert trainer.optimizer.step_count == 2
    assert all(trainer.optimizer.state["last"][name] is array for name, array in held.items())
    assert all((np.abs(w - before[name]).max() > 0.009) for name, w in trainer.model.parameters.items())


READ_ONLY = r"{} is read-only, but a network's arrays change in place; set its flags.writeable to True, and lr_factor"


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["conv1.weight", "fc2.bias", "residual1.first.weight"])
def test_a_read_only_parameter_is_refused_and_never_written(engine: str, name: str) -> None:
    trainer = make(engine)
    steps(trainer, 1)
    parameters = trainer.model.parameters
    before = copy.deepcopy(parameters)
    parameters[name].flags.writeable = False
    with pytest.raises(ArgumentError, match=READ_ONLY.format(name)):
        steps(trainer, 1)
    with pytest.raises(ArgumentError, match=READ_ONLY.format(name)):
        trainer.model.load_parameters({full: w + 1 for full, w in before.items()})
    layer = trainer.model.layers[0]
    layer.parameters["bias"] = np.zeros_like(layer.parameters["bias"])
    with pytest.raises(ArgumentError, match=READ_ONLY.format(name)):
        trainer.model.look()
    layer.parameters["bias"] = parameters["conv1.bias"]
    for full, w in before.items():
        np.testing.assert_array_equal(trainer.model.parameters[full], w)
    inference_engine(engine, trainer.model).forward(IMAGES)  # changes nothing
    parameters[name].flags.writeable = True
    steps(trainer, 1)
