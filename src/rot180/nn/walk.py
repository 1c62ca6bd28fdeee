"""The loop over a network's nodes, forward and backward, shared by all code that visits each layer.

Both walks are generators, so the caller may keep what it needs of a layer, or stop. What it does not keep is freed
before the next layer runs. What the operations record meanwhile reaches a listener of `rot180.ops.recorder`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from rot180.errors import TooLargeError
from rot180.memory import require
from rot180.nn.contract import is_own, own_backward, own_forward
from rot180.nn.dropout import Dropout, DropPath
from rot180.nn.flatten import Flatten
from rot180.nn.graph import INPUT, Node
from rot180.nn.layer import Layer, Shape
from rot180.ops.types import Array

Saved = list[Any]
"""What each layer's backward pass needs, in the order of the nodes."""

BeforeForward = Callable[[int, tuple[Array, ...]], None]
"""Called before each layer with its place and its inputs."""

BeforeBackward = Callable[[int, Array], None]
"""Called before each layer's backward pass with its place and its delta."""


class Forward(NamedTuple):
    """One layer's forward pass.

    Attributes
    ----------
    place : int
        Its index among the network's nodes.
    inputs : tuple of array
        One, or several for a join.
    """

    place: int
    layer: Layer
    inputs: tuple[Array, ...]
    y: Array
    saved: Any

    @property
    def x(self) -> Array:
        """The input, the first one of a join."""
        return self.inputs[0]


class Backward(NamedTuple):
    """One layer's backward pass.

    Attributes
    ----------
    delta : array
        dL/dy, the sum of what all readers of y pass back.
    dxs : tuple of array, or None
        dL/dx for each input; None if no layer below needs it.
    gradients : dict of str to array
        The gradients by local name.
    """

    place: int
    layer: Layer
    delta: Array
    dxs: tuple[Array, ...] | None
    gradients: dict[str, Array]

    @property
    def dx(self) -> Array | None:
        """dL/dx, for the first input of a join; None if no layer below needs it."""
        return None if self.dxs is None else self.dxs[0]

    @property
    def named_gradients(self) -> dict[str, Array]:
        """The gradients by full name, such as `conv1.weight`."""
        return {f"{self.layer.name}.{name}": gradient for name, gradient in self.gradients.items()}


def walk_forward(
    nodes: Sequence[Node],
    output_shapes: Sequence[Shape],
    x: Array,
    *,
    training: bool = False,
    generator: np.random.Generator | None = None,
    before: BeforeForward | None = None,
) -> Iterator[Forward]:
    """Run the layers in order, and yield the pass of each."""
    waiting = Counter(source for node in nodes for source in node.reads)
    values = {INPUT: x}
    del x
    for place, ((layer, reads), shape) in enumerate(zip(nodes, output_shapes, strict=True)):
        inputs = tuple(values[source] for source in reads)
        waiting.subtract(reads)
        for source in set(reads):
            if not waiting[source]:
                del values[source]
        if before:
            before(place, inputs)
        require(_output_size(layer, inputs, shape, training), layer.name)
        try:
            if is_own(layer):
                y, saved = own_forward(layer, inputs, shape, training=training, generator=generator)
            else:
                y, saved = layer.forward(*inputs, training=training, generator=generator)
        except MemoryError as error:
            raise _too_large(layer, error) from None
        step = Forward(place, layer, inputs, y, saved)
        values[place] = y
        del inputs, y, saved
        yield step
        del step


def walk_backward(
    nodes: Sequence[Node],
    dy: Array,
    saved: Saved,
    *,
    needs_dx: bool = False,
    before: BeforeBackward | None = None,
) -> Iterator[Backward]:
    """Run the layers backward, from the last to the lowest with something to compute, and yield the pass of each.

    Where several layers read one output, its delta is the sum of what they pass back, from the last to the first.
    """
    passes = backward_passes(nodes, needs_dx=needs_dx)
    deltas = {len(nodes) - 1: dy}
    for place in range(len(nodes) - 1, -1, -1):
        (layer, reads), (runs, wanted) = nodes[place], passes[place]
        if not runs:
            continue
        delta = deltas.pop(place)
        if before:
            before(place, delta)
        try:
            if is_own(layer):
                dxs, gradients = own_backward(layer, delta, saved[place], needs_dx=wanted)
            else:
                dxs, gradients = layer.backward(delta, saved[place], needs_dx=wanted)
        except MemoryError as error:
            raise _too_large(layer, error) from None
        if dxs is not None and not layer.is_join:
            dxs = (dxs,)
        step = Backward(place, layer, delta, dxs, gradients)
        for source, dx in zip(reads, dxs or (), strict=False):
            if source != INPUT and passes[source].runs:
                deltas[source] = deltas[source] + dx if source in deltas else np.asarray(dx)
        del delta, dxs, gradients
        yield step
        del step


class Pass(NamedTuple):
    """What a layer's backward pass must compute: whether it runs at all, and whether it returns dL/dx."""

    runs: bool
    needs_dx: bool


def backward_passes(nodes: Sequence[Node], *, needs_dx: bool = False) -> list[Pass]:
    """Return what the backward pass of each node must compute.

    It runs if the layer or one below it has parameters, and returns dL/dx if one below it does. If no layer has any,
    all of them run.

    Parameters
    ----------
    needs_dx : bool
        Whether the gradient of the network's input is needed.

    Examples
    --------
    >>> from rot180.nn import network
    >>> backward_passes(network("4x4x1 > relu > conv3x3:2 relu").nodes)
    [Pass(runs=False, needs_dx=False), Pass(runs=True, needs_dx=False), Pass(runs=True, needs_dx=True)]
    """
    is_built = any(layer.parameters for layer, _ in nodes)
    learns = [bool(layer.parameters) if is_built else layer.has_parameters for layer, _ in nodes]
    every = needs_dx or not any(learns)
    passes: list[Pass] = []
    for (_, reads), own in zip(nodes, learns, strict=True):
        below = any(needs_dx if source == INPUT else passes[source].runs for source in reads)
        passes.append(Pass(every or own or below, below))
    return passes


def input_delta(nodes: Sequence[Node], step: Backward, delta: Array | None) -> Array | None:
    """Return the gradient of the network's input after one more step of `walk_backward`, given that before it."""
    for source, dx in zip(nodes[step.place].reads, step.dxs or (), strict=False):
        if source == INPUT:
            delta = dx if delta is None else delta + dx
    return delta


def _output_size(layer: Layer, inputs: tuple[Array, ...], shape: Shape, training: bool) -> int:
    """Return the bytes of a layer's output, and 0 for layers that pass on their input."""
    if isinstance(layer, Flatten) or (isinstance(layer, Dropout | DropPath) and not training):
        return 0
    return len(inputs[0]) * math.prod(shape) * inputs[0].itemsize


def _too_large(layer: Layer, error: MemoryError) -> TooLargeError:
    hint = "" if isinstance(error, TooLargeError) else "; choose a smaller batch, image or network"
    return TooLargeError(f"{layer.name}: {error}{hint}")
