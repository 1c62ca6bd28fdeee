"""The contract of a user's own layer, checked where it is called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rot180.errors import ArgumentError, ShapeError
from rot180.nn.layer import Layer, Shape
from rot180.nn.registry import LAYERS
from rot180.ops.types import Array

if TYPE_CHECKING:
    from rot180.nn.graph import Node


def is_own(layer: Layer) -> bool:
    """Return whether a layer is of a user's own class; a subclass of a built-in layer is.

    >>> from rot180.nn import ReLU
    >>> is_own(ReLU()), is_own(Layer())
    (False, True)
    """
    return LAYERS.get(type(layer).__name__) is not type(layer)


def own_forward(
    layer: Layer,
    inputs: tuple[Array, ...],
    output_shape: Shape,
    *,
    training: bool,
    generator: np.random.Generator | None,
) -> tuple[Array, Any]:
    """Call an own layer's forward, and hold its output against `output_shape`."""
    y, saved = layer.forward(*inputs, training=training, generator=generator)
    count = len(inputs[0])
    if np.shape(y) != (count, *output_shape):
        raise ShapeError(
            f"{layer.label}: forward returns {np.shape(y)} for {inputs[0].shape}, but output_shape promises "
            f"{(count, *output_shape)}; define output_shape(self, input_shape) so that they agree"
        )
    return y, saved


def own_backward(layer: Layer, dy: Array, saved: Any, *, needs_dx: bool) -> tuple[Any, dict[str, Array]]:
    """Call a user's own layer's backward, and check that it returns all gradients in their shapes."""
    dx, gradients = layer.backward(dy, saved, needs_dx=needs_dx)
    if needs_dx and dx is None:
        raise ShapeError(f"{layer.label}: backward returns no dx although needs_dx is True")
    if gradients.keys() != layer.parameters.keys():
        raise ArgumentError(
            f"{layer.label}: backward must return a gradient for each of its parameters, "
            f"{sorted(layer.parameters)}; it returns {sorted(gradients)}; return zeros for one that is not learned"
        )
    for name, gradient in gradients.items():
        if np.shape(gradient) != layer.parameters[name].shape:
            raise ShapeError(
                f"{layer.label}: the gradient of {name} must have its shape {layer.parameters[name].shape}; it is "
                f"{np.shape(gradient)}"
            )
    return dx, gradients


def shapes_of(nodes: Sequence[Node], shape: Shape) -> list[Shape]:
    """Return the output shape of each node for an input of this shape; raise ShapeError if one does not fit."""
    shapes: list[Shape] = []
    for place, (layer, reads) in enumerate(nodes):
        inputs = [shape if source < 0 else shapes[source] for source in reads]
        try:
            shapes.append(layer.output_shape(*inputs))
        except ShapeError:
            silent = [own for own, _ in nodes[:place] if type(own).output_shape is Layer.output_shape and is_own(own)]
            if not silent:
                raise
            own = silent[-1]
            raise ShapeError(
                f"{layer.label}: gets {inputs[0]}, as {own.label} does not say that it changes the shape; if it does, "
                f"define {type(own).__name__}.output_shape(self, input_shape)"
            ) from None
    return shapes
