"""Mistakes planted one by one into copies of the layers are found, blamed on their layer, and named."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rot180 import AvgPool2d, Conv2d, Flatten, LeakyReLU, Linear, MaxPool2d, ReLU, Sequential, Sigmoid, Softmax, Tanh
from rot180.errors import ArgumentError
from rot180.inside.check import check
from rot180.inside.check_report import WRONG
from rot180.inside.gradient_check import GradientCheck
from rot180.nn import Add, CrossEntropyLoss, Dropout, Node, NoisyReLU, network
from rot180.nn.layer import Layer
from rot180.ops.conv2d import conv2d
from rot180.ops.conv_layout import pad, tap
from rot180.ops.conv_rotation import pad_delta, rotate180, spread
from rot180.ops.geometry import Geometry, geometry

Array = np.ndarray


def geometry_of(layer: Any, x: Array) -> Geometry:
    options = {"stride": layer.stride, "padding": layer.padding, "dilation": getattr(layer, "dilation", 1)}
    return geometry(x.shape[1], x.shape[2], layer.kernel_size, **options)


class Planted:
    """Changes what a right layer returns."""

    def backward(self, dy: Array, saved: Any, *, needs_dx: bool = True) -> tuple[Array, dict[str, Array]]:
        dx, gradients = super().backward(dy, saved, needs_dx=True)  # type: ignore[misc]
        return self.wrong(dy, saved, {"x": dx, **gradients})

    def wrong(self, dy: Array, saved: Any, right: dict[str, Array]) -> tuple[Array, dict[str, Array]]:
        right = {**right, **self.plant(dy, saved, right)}
        return right.pop("x"), right

    def plant(self, dy: Array, saved: Any, right: dict[str, Array]) -> dict[str, Array]:
        raise NotImplementedError


class Unrotated(Planted, Conv2d):
    def plant(self, dy, saved, right):
        delta = pad_delta(spread(dy, self.stride), geometry_of(self, saved))
        kernel = rotate180(self.weight, self.groups)[::-1, ::-1]
        return {"x": conv2d(delta, kernel, dilation=self.dilation, groups=self.groups)}


class Unexchanged(Planted, Conv2d):
    def plant(self, dy, saved, right):
        delta = pad_delta(dy, geometry_of(self, saved))
        return {"x": conv2d(delta, self.weight[::-1, ::-1])}


class Uncropped(Planted, Conv2d):
    def plant(self, dy, saved, right):
        g = geometry_of(self, saved)
        dx_pad = np.zeros_like(pad(saved, g))
        for u, v in np.ndindex(g.kernel):
            view = tap(dx_pad, g, u, v)
            view += dy @ self.weight[u, v].T
        return {"x": dx_pad[:, : saved.shape[1], : saved.shape[2]]}


class UncroppedShape(Uncropped):
    def plant(self, dy, saved, right):
        return {"x": np.zeros_like(pad(saved, geometry_of(self, saved)))}


class Unspread(Planted, Conv2d):
    def plant(self, dy, saved, right):
        dense = np.zeros_like(spread(dy, self.stride))
        dense[:, : dy.shape[1], : dy.shape[2]] = dy
        return {"x": conv2d(pad_delta(dense, geometry_of(self, saved)), rotate180(self.weight))}


class Assigned(Planted, Conv2d):
    def plant(self, dy, saved, right):
        g = geometry_of(self, saved)
        dx = np.zeros_like(saved)
        for u, v in np.ndindex(g.kernel):
            tap(dx, g, u, v)[...] = dy @ self.weight[u, v].T
        return {"x": dx}


class OneFilter(Planted, Conv2d):
    def plant(self, dy, saved, right):
        dw = np.zeros_like(right["weight"])
        dw[..., 0] = right["weight"][..., 0]
        return {"weight": dw}


class TurnedWeight(Planted, Conv2d):
    def plant(self, dy, saved, right):
        return {"weight": right["weight"][::-1, ::-1].copy()}


class BiasOfOneImage(Planted, Conv2d):
    def plant(self, dy, saved, right):
        return {"bias": dy[0].sum((0, 1))}


class BiasOfOnePixel(Planted, Conv2d):
    def plant(self, dy, saved, right):
        return {"bias": dy[:, 0, 0].sum(0)}


class BiasUnsummed(Planted, Conv2d):
    def plant(self, dy, saved, right):
        return {"bias": dy.sum(0)}


class MeanTwice(Planted, Linear):
    def plant(self, dy, saved, right):
        return {name: right[name] / len(dy) for name in ("weight", "bias")}


class MeanMissing(CrossEntropyLoss):
    def backward(self, saved):
        return super().backward(saved) * len(saved[0])


class TargetMissing(CrossEntropyLoss):
    def backward(self, saved):
        return saved[0] / len(saved[0])


class Transposed(Planted, Linear):
    def plant(self, dy, saved, right):
        return {"x": dy @ self.weight}


class TransposedGradient(Planted, Linear):
    def plant(self, dy, saved, right):
        return {"weight": dy.T @ saved}


class TwiceWeight(Planted, Conv2d):
    def plant(self, dy, saved, right):
        return {"weight": 2 * right["weight"]}


class HalfInput(Planted, Linear):
    def plant(self, dy, saved, right):
        return {"x": right["x"] / 2}


class Flipped(Planted, Conv2d):
    def plant(self, dy, saved, right):
        return {"weight": -right["weight"], "bias": -right["bias"]}


class Ungated(Planted, ReLU):
    def plant(self, dy, saved, right):
        return {"x": dy}


class UngatedNoisy(Planted, NoisyReLU):
    def plant(self, dy, saved, right):
        return {"x": dy}


class NoSlope(Planted, LeakyReLU):
    def plant(self, dy, saved, right):
        return {"x": dy * (saved > 0)}


class SigmoidAtInput(Sigmoid):
    def forward(self, x, *, training=False, generator=None):
        y, _ = super().forward(x)
        return y, x  # backward takes it for y


class TanhTwice(Planted, Tanh):
    def plant(self, dy, saved, right):
        return {"x": dy * (1 - np.tanh(saved) ** 2)}


class Diagonal(Planted, Softmax):
    def plant(self, dy, saved, right):
        return {"x": dy * saved * (1 - saved)}


class Unmasked(Planted, Dropout):
    def plant(self, dy, saved, right):
        return {"x": dy}


class EveryMaximum(MaxPool2d):
    def forward(self, x, *, training=False, generator=None):
        y, _ = super().forward(x)
        return y, (x, y)

    def backward(self, dy, saved, *, needs_dx=True):
        x, y = saved
        g = geometry_of(self, x)
        dx = np.zeros_like(x)
        for u, v in np.ndindex(g.kernel):
            view = tap(dx, g, u, v)
            view += dy * (tap(x, g, u, v) == y)
        return dx, {}


class Undivided(Planted, AvgPool2d):
    def plant(self, dy, saved, right):
        return {"x": right["x"] * 4}


class ToTheWinner(Planted, MaxPool2d):
    def plant(self, dy, saved, right):
        return {"x": np.kron(dy, np.ones((1, 2, 2, 1)))[:, : right["x"].shape[1], : right["x"].shape[2]]}


TAIL = lambda: [Flatten(), Linear(4)]  # noqa: E731

PLANTED = [
    (Unrotated(3, 3, padding=1), "kernel not rotated", ["x"]),
    (Unrotated(4, 3, padding="same", stride=2, groups=2), "kernel not rotated", ["x"]),
    (Unexchanged(2, 3, padding=1), "channels not exchanged", ["x"]),
    (Uncropped(3, 3, padding=1), "padding not cropped", ["x"]),
    (UncroppedShape(3, 3, padding=1), "padding not cropped", ["x"]),
    (Unspread(3, 3, stride=2), "stride not spread", ["x"]),
    (Assigned(3, 3), "overlapping windows assigned, not added", ["x"]),
    (OneFilter(3, 3), "only one filter's gradient kept", ["weight"]),
    (TurnedWeight(3, 3), "weight gradient rotated", ["weight"]),
    (BiasOfOneImage(3, 3), "bias not summed", ["bias"]),
    (BiasOfOnePixel(3, 3), "bias not summed", ["bias"]),
    (BiasUnsummed(3, 3), "bias not summed", ["bias"]),
    (MeanTwice(5), "batch mean taken twice", ["weight", "bias"]),
    (Transposed(96), "weights transposed", ["x"]),
    (TransposedGradient(5), "weights transposed", ["weight"]),
    (TwiceWeight(3, 3), "factor two", ["weight"]),
    (HalfInput(5), "factor one half", ["x"]),
    (Flipped(3, 3), "sign flipped", ["weight", "bias"]),
    (Ungated(), "ReLU gate missing", ["x"]),
    (UngatedNoisy(0.5), "ReLU gate missing", ["x"]),
    (NoSlope(0.1), "slope below zero missing", ["x"]),
    (SigmoidAtInput(), "derivative taken at the input instead of the output", ["x"]),
    (TanhTwice(), "activation applied once more", ["x"]),
    (Diagonal(), "only the diagonal of softmax", ["x"]),
    (Unmasked(0.5), "mask missing", ["x"]),
    (EveryMaximum(2), "delta to all tied maxima", ["x"]),
    (Undivided(2), "mean not divided", ["x"]),
    (ToTheWinner(2), "delta to the whole window", ["x"]),
]


@pytest.mark.parametrize(("layer", "name", "arrays"), PLANTED, ids=[type(layer).__name__ for layer, _, _ in PLANTED])
def test_a_planted_mistake_is_blamed_on_its_layer_and_named(layer: Layer, name: str, arrays: list[str]) -> None:
    layer.name = "planted"
    flat = [Flatten()] if isinstance(layer, Linear) else []
    before = [Conv2d(2, 3, padding=1), ReLU()]
    model = Sequential([*before, *flat, layer, *(TAIL()[1:] if flat else TAIL())], input_shape=(8, 6, 2))
    report = check(model, coordinates=6, directions=2)
    assert not report.passed
    assert report.blamed == ("planted",), str(report)
    assert {key: value.split(";")[0] for key, value in report.mistakes.items()} == {
        f"planted.{array}": name for array in arrays
    }
    said = str(report)
    assert f"it looks like: {name}" in said
    assert "WRONG" in said


@pytest.mark.parametrize(
    ("loss", "name"), [(MeanMissing(), "batch mean missing"), (TargetMissing(), "target not subtracted")]
)
def test_a_mistake_in_the_loss(loss: Any, name: str) -> None:
    report = check(network("5 > fc4"), loss=loss)
    assert report.blamed == ("loss",)
    assert report.mistakes["loss.outputs"].startswith(name)


class Container(Sequential):
    """Forgets the second layer on the way back, where it is a ReLU that changes no shape."""

    def backward(self, dy, saved, *, needs_dx=False):
        nodes, self._nodes = self.nodes, (self.nodes[0], Node(self.nodes[2].layer, (0,)))
        try:
            return super().backward(dy, [saved[0], *saved[2:]], needs_dx=needs_dx)
        finally:
            self._nodes = nodes


def test_a_mistake_between_right_layers_is_the_networks() -> None:
    report = check(Container([Linear(6), ReLU(), Linear(3)], input_shape=(5,)))
    assert report.blamed == ("network",)
    assert "check how they are connected" in str(report)


class Scale(Layer):
    """A layer of another kind than any here: a factor for each channel."""

    def build(self, input_shape, generator, *, dtype=np.float32, activation="linear"):
        self.parameters = {"factor": generator.normal(size=input_shape[-1:]).astype(dtype)}

    def forward(self, x, *, training=False, generator=None):
        return x * self.parameters["factor"], x

    def backward(self, dy, saved, *, needs_dx=True):
        return dy * self.parameters["factor"], {"factor": self.factor_gradient(dy * saved)}

    def factor_gradient(self, products: Array) -> Array:
        return products.sum((0, 1, 2))


class ScaleOfOneImage(Scale):
    def factor_gradient(self, products):
        return products[0].sum((0, 1))


class ScaleMean(Scale):
    def factor_gradient(self, products):
        return products.mean((0, 1, 2))


class ScaleUnsummed(Scale):
    def factor_gradient(self, products):
        return products.sum((1, 2))


class Raises(Scale):
    def backward(self, dy, saved, *, needs_dx=True):
        return dy @ np.ones(99), {}


class Nothing(Scale):
    def backward(self, dy, saved, *, needs_dx=True):
        return dy * self.parameters["factor"], {}


class Strange(Scale):
    def backward(self, dy, saved, *, needs_dx=True):
        return np.sin(dy), {"factor": np.sin(dy).sum((0, 1, 2))}


class Foreign(Layer):
    """A convolution of which nothing but the numbers shows that it is one."""

    def __init__(self, mistake: str) -> None:
        super().__init__()
        self.mistake = mistake

    def build(self, input_shape, generator, *, dtype=np.float32, activation="linear"):
        self.parameters = {
            "k": generator.normal(size=(3, 3, input_shape[2], 4)).astype(dtype),
            "shift": np.zeros(4, dtype),
        }

    def forward(self, x, *, training=False, generator=None):
        return conv2d(x, self.parameters["k"], self.parameters["shift"], stride=2, padding=1), x

    def backward(self, dy, saved, *, needs_dx=True):
        k = self.parameters["k"]
        g = geometry(saved.shape[1], saved.shape[2], 3, stride=2, padding=1)
        x_pad, dx_pad = pad(saved, g), np.zeros_like(pad(saved, g))
        dk = np.zeros_like(k)
        for u, v in np.ndindex(3, 3):
            t, r = (2 - u, 2 - v) if self.mistake == "kernel not rotated" else (u, v)
            view = tap(dx_pad, g, t, r)
            view += dy @ k[u, v].T
            dk[u, v] = np.tensordot(tap(x_pad, g, u, v), dy, axes=((0, 1, 2), (0, 1, 2)))
        crop = slice(0, -2) if self.mistake == "padding not cropped" else slice(1, -1)
        return dx_pad[:, crop, crop], {"k": dk, "shift": dy.sum((0, 1, 2))}


@pytest.mark.parametrize("mistake", ["", "kernel not rotated", "padding not cropped"])
def test_a_convolution_that_someone_wrote(mistake: str) -> None:
    report = check(Foreign(mistake), (7, 6, 2))
    assert report.passed == (not mistake)
    assert [said.split(";")[0] for said in report.mistakes.values()] == ([mistake] if mistake else [])


def test_a_layer_that_is_not_ours() -> None:
    assert check(Scale(), (4, 5, 3)).passed
    with pytest.raises(ArgumentError, match="checking a layer needs the shape of its input"):
        check(Scale())


@pytest.mark.parametrize(
    ("layer", "says"),
    [
        (ScaleOfOneImage(), "only one image of the batch"),
        (ScaleMean(), "mean instead of sum"),
        (ScaleUnsummed(), "bias not summed"),
        (Nothing(), "backward returns no gradient for factor"),
        (Strange(), "no known mistake"),
        (Raises(), "backward raised ValueError: matmul"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Layer) else "",
)
def test_mistakes_in_a_layer_that_is_not_ours(layer: Layer, says: str) -> None:
    report = check(layer, (4, 5, 3))
    assert not report.passed
    assert says in " ".join(str(report).split())


@pytest.mark.parametrize("notation", ["6x5x2 > conv3x2:4:same:s2 relu maxpool3:s2 > fc4 sigmoid", "4x4x1 > conv3x3:2"])
def test_right_networks_pass(notation: str) -> None:
    report = check(network(notation))
    assert report.passed, str(report)
    assert not report.mistakes
    values = report.to_dict()
    assert values["passed"]
    assert [part["name"] for part in values["parts"]] == [part.name for part in report.parts]
    assert max(len(line) for line in str(report).splitlines()) <= 80


def test_a_trained_network_keeps_its_parameters() -> None:
    model = network("4x4x1 > conv3x3:2 relu > fc3").build(seed=3)
    before = {name: array.copy() for name, array in model.parameters.items()}
    assert check(model).passed
    for name, array in model.parameters.items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, before[name])


def test_points_at_kinks_are_counted() -> None:
    report = check(ReLU(), (30,))
    (array,) = report.parts[0].arrays
    assert isinstance(array.result, GradientCheck)
    assert array.result.skipped > 0
    assert f"{array.result.skipped} points left out at kinks" in str(report)


def test_a_layer_that_refuses_its_input_is_not_blamed() -> None:
    with pytest.raises(ArgumentError, match="every window must hold a pixel"):
        check(network("9x7x3 > maxpool2:pad2x1"))


def test_correct_networks_drawn_at_random_raise_no_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    found, undecided = importlib.import_module("random_networks").alarms(25, start=5000)
    assert not found, "\n".join(f"{seed}: {report}" for seed, report in found)
    assert undecided < 5


def test_joins_are_checked_for_each_of_their_inputs() -> None:
    model = network("4x4x2 > ( relu + skip ) ( skip | conv1x1:3 ) ( skip * gap sigmoid ) > fc3")
    report = check(model)
    assert report.passed
    arrays = {part.name: [array.name for array in part.arrays] for part in report.parts}
    assert [arrays[name] for name in ("add1", "concat1", "multiply1")] == [["x1", "x2"]] * 3


def test_delta_given_to_one_branch_only_is_found() -> None:
    class OneBranch(Add):
        def backward(self, dy, saved, *, needs_dx=True):
            return (dy, np.zeros_like(dy)), {}

    report = check(Sequential([Conv2d(2, 1), OneBranch([ReLU()], []), Flatten(), Linear(3)]), (4, 4, 2))
    wrong = [(part.name, array.name) for part in report.parts for array in part.arrays if array.verdict == WRONG]
    assert ("add1", "x2") in wrong
    assert ("add1", "x1") not in wrong
