"""Nudge one number: the true loss around it, beside the line that its gradient promises.

The gradient is the slope of the loss at the number itself. Away from it, the loss bends; and where a ReLU opens or
closes, or another pixel wins a pooling window, it has a kink.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from rot180.errors import ArgumentError
from rot180.inside.explain.account import stored_value
from rot180.inside.explain.cells import GRAD, VALUE, Cell, name_of, read_cell
from rot180.inside.explain.trace import Trace
from rot180.nn.activation import LeakyReLU, ReLU
from rot180.nn.activation_piecewise import PReLU, ReLU6
from rot180.nn.pooling import MaxPool2d
from rot180.ops.types import Array

__all__ = ["Nudge", "nudge"]

STEP = 1e-5
"""The step of the central difference, relative to the reach."""


@dataclass(frozen=True)
class Nudge:
    """The loss as a function of one number, all others held fixed.

    Attributes
    ----------
    cell : str
        The number's name.
    value : float
        The number in the network.
    gradient : float
        As backpropagation computed it, in the network's float type.
    central : float
        The slope of the loss over a tiny step to both sides, in float64.
    values, losses : tuple of float
        Values of the number around it, and the loss with each, in float64.
    switched : tuple of int
        How many gates and winners are others than with the number's own value.
    """

    cell: str
    value: float
    gradient: float
    central: float
    values: tuple[float, ...]
    losses: tuple[float, ...]
    switched: tuple[int, ...]


def nudge(trace: Trace, at: str, *, reach: float | None = None, points: int = 41) -> Nudge:
    """Change one pixel or parameter, and compute the loss each time.

    Parameters
    ----------
    trace : Trace
        The pass whose loss it is.
    at : str
        A preprocessed pixel, `image[3,5,0]`, or a parameter, `conv1.weight[1,1,0,2]`.
    reach : float, optional
        How far to go to each side; by default three standard deviations of the array that it is in.
    points : int
        The number of values, an odd one, so that the number's own is among them.

    Raises
    ------
    ArgumentError
        The number is computed by the network, so that it cannot be set.

    Examples
    --------
    >>> import numpy as np, rot180
    >>> from rot180.inside.explain import Trace
    >>> model = rot180.network("4x4x1 > conv3x3:2 tanh > fc3").build(seed=0)
    >>> found = nudge(Trace(model, np.full((4, 4), 99, np.uint8), 1), "conv1.weight[1,1,0,1]")
    >>> abs(found.gradient - found.central) < 1e-6, len(found.losses)
    (True, 41)
    """
    cell = read_cell(at, trace.model, trace.count)
    is_pixel = cell.layer < 0 and cell.array == "output" and cell.what == VALUE
    is_parameter = 0 <= cell.layer < len(trace.model.layers) and cell.what == VALUE
    is_parameter = is_parameter and cell.array in trace.model.layers[cell.layer].parameters
    if not is_pixel and not is_parameter:
        raise ArgumentError(f"nudge changes a pixel or a parameter; {at!r} is computed from others")
    network = copy.deepcopy(trace.model)
    if network.state:
        state = {name: array.astype(np.float64) for name, array in trace.model.state.items()}
        network.build(network.input_shape, seed=0, dtype=np.float64)
        network.load_parameters(state)
    x = trace.x.astype(np.float64)
    array = x if is_pixel else network.layers[cell.layer].parameters[cell.array]
    own = float(array[cell.index])
    if reach is None:
        reach = 3 * float(np.std(array)) or max(abs(own), 1.0)

    def run(value: float) -> tuple[float, list[Array]]:
        array[cell.index] = value
        steps = list(network.walk(x))
        loss = float(trace.loss.forward(steps[-1].y, trace.target)[0])
        return loss, [_pattern(step.layer, step.y, step.saved) for step in steps]

    step = STEP * reach
    central = (run(own + step)[0] - run(own - step)[0]) / (2 * step)
    pattern = run(own)[1]
    values = own + np.linspace(-reach, reach, points)
    losses, switched = [], []
    for value in values:
        loss, other = run(float(value))
        losses.append(loss)
        switched.append(sum(int((a != b).sum()) for a, b in zip(pattern, other, strict=True)))
    gradient = stored_value(trace, Cell(cell.layer, cell.array, GRAD, cell.index))
    name = name_of(cell, trace.model, trace.count)
    return Nudge(name, own, gradient, central, tuple(values.tolist()), tuple(losses), tuple(switched))


def _pattern(layer: Any, y: Array, saved: Any) -> Array:
    """Return which gates are open, or which pixels have won; nothing of layers that have neither."""
    if isinstance(layer, (ReLU, ReLU6, LeakyReLU, PReLU)):
        return y > 0
    if isinstance(layer, MaxPool2d):
        return np.asarray(saved[0])
    return np.zeros(0)
