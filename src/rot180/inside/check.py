"""Check every gradient of a network, and name the mistake in a wrong one.

Each layer is checked separately, in float64: its backward pass is given a random delta, and the gradients that it
returns for its input and its parameters are compared with finite differences of its forward pass
(`rot180.inside.gradient_check`). So an error is attributed to the layer that has it. Then the loss is checked, and the
network as a whole. A wrong gradient is passed to `rot180.inside.mistakes`, which names the known mistake it looks like.

Only `forward`, `backward` and `parameters` of a layer are used: a user's own layer is checked like any other.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np

from rot180.errors import ArgumentError, Rot180Error
from rot180.inside.check_report import WRONG, ArrayCheck, CheckReport, PartCheck
from rot180.inside.gradient_check import GradientCheck, check_gradients
from rot180.inside.mistakes import Case, Mistake, name_loss_mistake, name_mistake
from rot180.nn.layer import Layer, Shape
from rot180.nn.loss import CrossEntropyLoss, Loss
from rot180.nn.network import Network
from rot180.ops.softmax import softmax
from rot180.ops.types import Array
from rot180.training.trainer import make_loss

__all__ = ["ArrayCheck", "CheckReport", "PartCheck", "check", "check_layer"]

IMAGES = 3
"""Images in a batch: a batch mean that is missing or taken twice then gives a factor that no other mistake gives."""
MEASURED = 4_000_000
"""To name a mistake, the derivatives of all outputs are measured if there are no more entries than this: 32 MB."""


def check(
    model: Network | Layer,
    input_shape: Sequence[int] | Sequence[Sequence[int]] | None = None,
    *,
    loss: str | Loss = "auto",
    tolerance: float = 1e-6,
    coordinates: int = 12,
    directions: int = 4,
    seed: int = 0,
) -> CheckReport:
    """Check every gradient of a network, or of one layer.

    Parameters
    ----------
    model : Network or Layer
        Built or not; it is not changed. A layer may be of any class that follows the contract of
        `rot180.nn.layer.Layer`.
    input_shape : (H, W, C) or (n,), or a list of several, optional
        The shape of one image. Needed for a layer, and for a network whose input shape is not known. A join takes a
        list with the shape of each of its inputs; a single shape stands for two inputs.
    loss : str or Loss
        As in `Trainer`.
    tolerance : float
        The largest relative error allowed.
    coordinates, directions : int
        The number of points drawn in each array; see `check_gradients`.
    seed : int
        Seed of the parameters (if the network is not built), images, deltas and points.

    Returns
    -------
    CheckReport
        A report to print.

    Raises
    ------
    ArgumentError
        The input shape is not known.
    ShapeError
        A layer does not fit the previous one.
    Rot180Error
        A layer rejects its input.

    Examples
    --------
    >>> import rot180
    >>> report = check(rot180.network("6x6x1 > conv3x3:2 relu maxpool2 > fc3"))
    >>> report.passed, [part.name for part in report.parts]
    (True, ['conv1', 'relu1', 'pool1', 'flatten1', 'fc1', 'loss', 'network'])
    """
    options: dict[str, Any] = {
        "tolerance": tolerance,
        "coordinates": coordinates,
        "directions": directions,
        "seed": seed,
    }
    if isinstance(model, Layer):
        if input_shape is None:
            raise ArgumentError("checking a layer needs the shape of its input; give input_shape=(6, 5, 2) or (7,)")
        shapes = _shapes(model, input_shape)
        part = check_layer(model, *shapes, **options)
        on = " and ".join("x".join(map(str, shape)) for shape in shapes)
        return CheckReport(f"{part.layer} on {on}", (part,))
    if not model.is_built:
        shape = cast("Sequence[int] | None", input_shape)
        model = copy.deepcopy(model).build(shape, seed=seed, dtype=np.float64)
    parts = [
        check_layer(layer, *inputs, **options)
        for layer, (inputs, _) in zip(model.layers, model.layer_shapes, strict=True)
    ]
    the_loss = _loss(loss, model)
    if the_loss is not None:
        parts.append(_check_loss(the_loss, model.output_shape[0], options))
    if not any(array.problem for part in parts for array in part.arrays):
        parts.append(_check_network(model, the_loss, options))
    return CheckReport(_title(model), tuple(parts))


def _shapes(layer: Layer, given: Sequence[int] | Sequence[Sequence[int]]) -> list[Shape]:
    """Return the shape of each input of a layer."""
    if not given or not isinstance(given[0], Sequence):
        shape = tuple(cast("Sequence[int]", given))
        return [shape, shape] if layer.is_join else [shape]
    shapes = [tuple(shape) for shape in cast("Sequence[Sequence[int]]", given)]
    if (len(shapes) > 1) != layer.is_join:
        raise ArgumentError(
            f"{layer.label}: a layer has one input, a join (derived from rot180.nn.Join) at least two; "
            f"{len(shapes)} shapes were given"
        )
    return shapes


def check_layer(
    layer: Layer, *input_shapes: tuple[int, ...], tolerance: float, coordinates: int, directions: int, seed: int
) -> PartCheck:
    """Check the backward pass of a single layer, with one shape for each input; parameters as in `check`."""
    bench = _Bench(layer, input_shapes, seed)
    points = {"tolerance": tolerance, "coordinates": coordinates, "directions": directions}
    name = layer.name or type(layer).__name__
    arrays = [_check_array(bench, array, points) for array in bench.names]
    if not bench.parameters:
        # Integers produce ties, where max pooling must choose; an error found with them is an error.
        tied = _Bench(layer, input_shapes, seed, ties=True)
        for place, array in enumerate(arrays):
            second = _check_array(tied, array.name, points)
            if array.verdict != WRONG and second.verdict == WRONG:
                arrays[place] = second
            elif array.result and second.result:
                arrays[place] = _joined(array, array.result, second.result)
    return PartCheck(name, _says(layer), tuple(arrays))


def _joined(array: ArrayCheck, first: GradientCheck, second: GradientCheck) -> ArrayCheck:
    worst = first if first.max_error >= second.max_error or not second.checked else second
    result = GradientCheck(
        worst.tolerance,
        worst.max_error,
        worst.worst_name,
        worst.worst_index,
        worst.claimed,
        worst.measured,
        checked=first.checked + second.checked,
        skipped=first.skipped + second.skipped,
        unchecked=(),
    )
    return ArrayCheck(array.name, result, array.problem, array.mistake)


class _Bench:
    """A copy of a layer in float64, with its inputs and a delta drawn at random.

    The input is named x; those of a join x1, x2, ...
    """

    def __init__(
        self, layer: Layer, input_shapes: tuple[tuple[int, ...], ...], seed: int, *, ties: bool = False
    ) -> None:
        self.seed = seed
        generator = np.random.default_rng([seed, ties])
        self.layer = copy.deepcopy(layer)
        drawing = np.random.default_rng([seed, 3]) if layer.parameters else generator
        self.layer.build(input_shapes[0], drawing, dtype=np.float64)
        for name, array in self.layer.parameters.items():
            # Biases start at zero and weights may be tiny; the gradients must be right for any values.
            value = layer.parameters.get(name, array) + 0.1 * generator.normal(size=array.shape)
            if array.dtype == value.dtype:
                np.copyto(array, value)  # in place: layers inside may refer to it, too
            else:
                self.layer.parameters[name] = value
        self.inputs: dict[str, Array] = {}
        for number, input_shape in enumerate(input_shapes, 1):
            shape = (IMAGES, *input_shape)
            x: Array = generator.normal(size=shape)
            if ties:
                x = generator.integers(-2, 3, shape).astype(np.float64)
            self.inputs[f"x{number}" if layer.is_join else "x"] = x
        self.parameters = {name: array.copy() for name, array in self.layer.parameters.items()}
        self.problem = ""
        try:
            self.y, saved = self.forward(self.inputs)
        except Rot180Error:
            raise  # an input that the layer rejects does not make its gradient wrong
        except Exception as error:  # a user's own layer may raise anything, which is reported
            self.problem = f"forward raised {type(error).__name__}: {error}"
            return
        self.dy: Array = generator.normal(size=np.shape(self.y))
        try:
            self.claimed = self._backward(saved)
        except Exception as error:
            self.problem = f"backward raised {type(error).__name__}: {error}"

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.inputs, *self.parameters)

    def forward(self, arrays: dict[str, Array]) -> tuple[Array, Any]:
        inputs = [arrays[name].copy() for name in self.inputs]
        # The same draws in each call: noise and masks must not change between the differences. They differ from those
        # of x.
        return self.layer.forward(*inputs, training=True, generator=np.random.default_rng([self.seed, 2]))

    def _backward(self, saved: Any) -> dict[str, Array]:
        dx, gradients = self.layer.backward(self.dy.copy(), saved, needs_dx=True)
        dxs = dx if self.layer.is_join else (dx,)
        found = {**dict(zip(self.inputs, dxs or (), strict=False)), **gradients}
        return {name: np.asarray(array) for name, array in found.items() if array is not None}

    def output(self, arrays: dict[str, Array]) -> Array:
        for name, array in self.layer.parameters.items():
            np.copyto(array, arrays[name])
        return np.asarray(self.forward(arrays)[0])

    def value(self, arrays: dict[str, Array], dy: Array) -> float:
        return float(np.sum(dy * self.output(arrays)))

    def arrays(self) -> dict[str, Array]:
        return {**self.inputs, **self.parameters}

    def jacobian(self, name: str) -> Array:
        """Return dy/d(array) by finite differences: (entries of the array, entries of y)."""
        moved = self.arrays()
        array = moved[name].copy()
        moved[name] = array
        rows = np.zeros((array.size, self.dy.size))
        h = 1e-5
        for row, index in zip(rows, np.ndindex(array.shape), strict=True):
            here = array[index]
            for step in (h, -h):
                array[index] = here + step
                row += self.output(moved).ravel() / (2 * step)
            array[index] = here
        return rows


def _check_array(bench: _Bench, name: str, points: dict[str, Any]) -> ArrayCheck:
    if bench.problem:
        return ArrayCheck(name, None, bench.problem if name == bench.names[0] else "")
    array = bench.arrays()[name]
    if name not in bench.claimed:
        return ArrayCheck(name, None, f"backward returns no gradient for {name}", None)
    claimed = bench.claimed[name]
    if claimed.shape != array.shape:
        problem = f"the gradient has the shape {claimed.shape}, the array {array.shape}"
        return ArrayCheck(name, None, problem, _mistake(bench, name))

    def compare(seed: int) -> GradientCheck:
        return check_gradients(
            lambda arrays: bench.value(arrays, bench.dy), bench.arrays(), {name: claimed}, seed=seed, **points
        )

    result = compare(bench.seed)
    if not result.checked or result.max_error <= result.tolerance:
        return ArrayCheck(name, result)
    # A mistake shows at all points; an error found only once is a kink that was taken as smooth.
    again = compare(bench.seed + 1)
    if again.checked and again.max_error <= again.tolerance:
        return ArrayCheck(name, again)
    return ArrayCheck(name, result, "", _mistake(bench, name))


def _mistake(bench: _Bench, name: str) -> Mistake | None:
    measure: Callable[[Array], Array] | None = None
    array = bench.arrays()[name]
    if array.size * bench.dy.size <= MEASURED:
        jacobian: list[Array] = []

        def measure(dy: Array) -> Array:
            if not jacobian:  # measured once, and only if the operation is not known
                jacobian.append(bench.jacobian(name))
            gradient: Array = (jacobian[0] @ dy.ravel()).reshape(array.shape)
            return gradient

    for parameter, value in bench.parameters.items():
        np.copyto(bench.layer.parameters[parameter], value)
    inputs = tuple(bench.inputs.values())
    x = bench.inputs.get(name, inputs[0])
    case = Case(name, bench.claimed[name], x, np.asarray(bench.y), bench.dy, bench.parameters, measure, inputs)
    return name_mistake(bench.layer, case)


def _loss(loss: str | Loss, model: Network) -> Loss | None:
    """Return the loss to check with; None if the network's output is not a vector of classes."""
    if len(model.output_shape) != 1:
        return None
    if loss == "auto" and model.layers[-1].output_kind == "probabilities":
        loss = "squared_error"
    return make_loss(loss, model)


def _check_loss(loss: Loss, classes: int, options: dict[str, Any]) -> PartCheck:
    generator = np.random.default_rng(options["seed"])
    outputs = generator.normal(size=(IMAGES, classes))
    target = generator.integers(0, classes, IMAGES)
    arrays = {"outputs": outputs}

    def f(moved: dict[str, Array]) -> float:
        return float(loss.forward(moved["outputs"], target)[0])

    claimed = np.asarray(loss.backward(loss.forward(outputs, target)[1]))
    result = None
    if claimed.shape == outputs.shape:
        result = check_gradients(f, arrays, {"outputs": claimed}, **options)
        if result.passed:
            return PartCheck("loss", repr(loss), (ArrayCheck("outputs", result),))
    right = np.zeros_like(outputs)
    for index in np.ndindex(outputs.shape):
        unit = np.zeros_like(outputs)
        unit[index] = 1e-5
        right[index] = (f({"outputs": outputs + unit}) - f({"outputs": outputs - unit})) / 2e-5
    is_cross = isinstance(loss, CrossEntropyLoss) or getattr(loss, "name", "") == "cross_entropy"
    mistake = name_loss_mistake(claimed, right, softmax(outputs) if is_cross else None)
    problem = "" if result else f"the gradient has the shape {claimed.shape}, the array {outputs.shape}"
    return PartCheck("loss", repr(loss), (ArrayCheck("outputs", result, problem, mistake),))


def _check_network(model: Network, loss: Loss | None, options: dict[str, Any]) -> PartCheck:
    """Check the network from images to loss, including the connections of its parts."""
    generator = np.random.default_rng(options["seed"])
    network = copy.deepcopy(model)
    network.build(model.input_shape, seed=options["seed"], dtype=np.float64)
    x = generator.normal(size=(IMAGES, *model.input_shape))
    arrays = {"x": x}
    for name, array in model.parameters.items():
        spread = 0.1 * (float(np.std(array)) or 1.0)
        arrays[name] = array.astype(np.float64) + spread * generator.normal(size=array.shape)
    weights = generator.normal(size=(IMAGES, *model.output_shape))
    target = generator.integers(0, model.output_shape[-1], IMAGES)

    def run(moved: dict[str, Array]) -> tuple[float, Array, Any]:
        for name, parameter in network.parameters.items():
            np.copyto(parameter, moved[name])
        y, saved = network.forward(moved["x"], training=True, generator=np.random.default_rng([options["seed"], 2]))
        if loss is None:
            return float((weights * y).sum()), weights, saved
        value, kept = loss.forward(y, target)
        return float(value), np.asarray(loss.backward(kept)), saved

    _, dy, saved = run(arrays)
    dx, gradients = network.backward(dy, saved, needs_dx=True)
    found = []
    few = {**options, "coordinates": min(4, options["coordinates"]), "directions": min(2, options["directions"])}
    for name, claimed in {"x": np.asarray(dx), **gradients}.items():
        result = check_gradients(lambda moved: run(moved)[0], arrays, {name: claimed}, **few)
        if result.checked and result.max_error > result.tolerance:
            again = {**few, "seed": few["seed"] + 1}
            result = max(
                (result, check_gradients(lambda moved: run(moved)[0], arrays, {name: claimed}, **again)),
                key=lambda one: -one.max_error if one.checked else -np.inf,
            )
        found.append(ArrayCheck(name, result))
    return PartCheck("network", "images to loss", tuple(found))


def _says(layer: Layer) -> str:
    try:
        return repr(layer)
    except Exception:  # a user's own class may not store its arguments as attributes
        return type(layer).__name__


def _title(model: Network) -> str:
    try:
        return model.notation
    except (ArgumentError, AttributeError, KeyError):
        return " > ".join(_says(layer) for layer in model.layers)
