"""The loop over a network's layers, forward and backward, shared by all code that visits each layer.

Both walks are generators, so the caller may keep what it needs of a layer, or stop. What it does not keep is freed
before the next layer runs. What the operations record meanwhile reaches a listener of `rot180.ops.recorder`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from rot180.errors import TooLargeError
from rot180.nn.contract import is_own, own_backward, own_forward
from rot180.nn.layer import Layer, Shape
from rot180.ops.types import Array

Saved = list[Any]
"""What each layer's backward pass needs, in the order of the layers."""

Before = Callable[[int, Array], None]
"""Called before each layer with its index and its input, or in the backward pass its delta."""


class Forward(NamedTuple):
    """One layer's forward pass."""

    place: int
    layer: Layer
    x: Array
    y: Array
    saved: Any


class Backward(NamedTuple):
    """One layer's backward pass.

    Attributes
    ----------
    delta : array
        dL/dy.
    dx : array or None
        dL/dx; None if no layer below needs it.
    gradients : dict of str to array
        The gradients by local name.
    """

    place: int
    layer: Layer
    delta: Array
    dx: Array | None
    gradients: dict[str, Array]

    @property
    def named_gradients(self) -> dict[str, Array]:
        """The gradients by full name, such as `conv1.weight`."""
        return {f"{self.layer.name}.{name}": gradient for name, gradient in self.gradients.items()}


def walk_forward(
    layers: tuple[Layer, ...],
    output_shapes: list[Shape],
    x: Array,
    *,
    training: bool = False,
    generator: np.random.Generator | None = None,
    before: Before | None = None,
) -> Iterator[Forward]:
    """Run the layers in order, and yield the pass of each."""
    for place, (layer, shape) in enumerate(zip(layers, output_shapes, strict=True)):
        if before:
            before(place, x)
        try:
            if is_own(layer):
                y, saved = own_forward(layer, x, shape, training=training, generator=generator)
            else:
                y, saved = layer.forward(x, training=training, generator=generator)
        except MemoryError as error:
            raise _too_large(layer, error) from None
        step = Forward(place, layer, x, y, saved)
        x = y
        del y, saved
        yield step
        del step


def walk_backward(
    layers: tuple[Layer, ...],
    dy: Array,
    saved: Saved,
    *,
    needs_dx: bool = False,
    before: Before | None = None,
) -> Iterator[Backward]:
    """Run the layers backward, from the last to the lowest with something to compute, and yield the pass of each."""
    lowest = 0 if needs_dx else lowest_learning(layers)
    delta = dy
    for place in range(len(layers) - 1, lowest - 1, -1):
        layer = layers[place]
        if before:
            before(place, delta)
        wanted = needs_dx or place > lowest
        try:
            if is_own(layer):
                dx, gradients = own_backward(layer, delta, saved[place], needs_dx=wanted)
            else:
                dx, gradients = layer.backward(delta, saved[place], needs_dx=wanted)
        except MemoryError as error:
            raise _too_large(layer, error) from None
        step = Backward(place, layer, delta, dx, gradients)
        delta = np.asarray(dx)
        del dx, gradients
        yield step
        del step


def lowest_learning(layers: tuple[Layer, ...]) -> int:
    """Return the index of the first layer with parameters, below which no gradients are needed; 0 if none has any."""
    is_built = any(layer.parameters for layer in layers)
    learning = (i for i, layer in enumerate(layers) if (layer.parameters if is_built else layer.has_parameters))
    return next(learning, 0)


def _too_large(layer: Layer, error: MemoryError) -> TooLargeError:
    hint = "" if isinstance(error, TooLargeError) else "; choose a smaller batch, image or network"
    return TooLargeError(f"{layer.name}: {error}{hint}")
