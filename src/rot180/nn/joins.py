"""Joins: layers with several inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rot180.errors import ShapeError
from rot180.nn.hyper import Hyper
from rot180.nn.layer import Layer, Shape
from rot180.ops.joins import (
    add,
    add_backward,
    concatenate,
    concatenate_backward,
    multiply,
    multiply_backward,
)
from rot180.ops.types import Array

if TYPE_CHECKING:
    from rot180.nn.graph import Part


class Join(Layer):
    """A layer with several inputs, the outputs of its branches.

    Parameters
    ----------
    *branches : list of layers
        What runs on each branch, from the value before the join; an empty list passes that value on.
    name : str
        As in `Layer`.

    Attributes
    ----------
    branches : tuple
        The branches as given. A network holds them as nodes of its own.
    """

    is_join = True
    branches: Hyper[tuple[Sequence[Part], ...]] = Hyper(
        lambda value, _: tuple(branch if isinstance(branch, list | tuple) else (branch,) for branch in value),
        listed=False,
    )

    def __init__(self, *branches: Sequence[Part], name: str = "") -> None:
        super().__init__(name=name)
        self.branches = branches

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """Return the shape of the output for one image; raise ShapeError if the inputs do not fit."""
        raise NotImplementedError

    def forward(
        self, *inputs: Array, training: bool = False, generator: np.random.Generator | None = None
    ) -> tuple[Array, Any]:
        """Return the output for a batch and what `backward` needs."""
        raise NotImplementedError

    def backward(  # type: ignore[override]  # one dx for each input
        self, dy: Array, saved: Any, *, needs_dx: bool = True
    ) -> tuple[tuple[Array, ...] | None, dict[str, Array]]:
        """Return dL/dx for each input (None if not needed) and the gradient of each parameter, given dL/dy."""
        raise NotImplementedError

    def to_notation(self) -> str:
        """Return its name in a list of nodes."""
        return self.kind

    def __repr__(self) -> str:
        """Return the call that creates the join."""
        return f"{type(self).__name__}({', '.join(repr(list(branch)) for branch in self.branches)})"


class Add(Join):
    """The sum of several branches.

    Examples
    --------
    >>> from rot180.nn import Conv2d, ReLU, Sequential
    >>> block = Add([Conv2d(8, 3, padding="same"), ReLU(), Conv2d(8, 3, padding="same")], [])
    >>> str(Sequential([block, ReLU()], input_shape=(8, 8, 8)))
    '8x8x8 > ( conv3x3:8:same relu conv3x3:8:same + skip ) relu'
    """

    kind = "add"

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """Return the shape of each input."""
        if len(set(input_shapes)) > 1:
            raise ShapeError(
                f"{self.label}: the branches of a sum must have one shape; they have {_told(input_shapes)}"
            )
        return input_shapes[0]

    def forward(
        self, *inputs: Array, training: bool = False, generator: np.random.Generator | None = None
    ) -> tuple[Array, int]:
        """Return the sum and the number of inputs."""
        return add(*inputs), len(inputs)

    def backward(  # type: ignore[override]
        self, dy: Array, saved: int, *, needs_dx: bool = True
    ) -> tuple[tuple[Array, ...] | None, dict[str, Array]]:
        """Return dy for each input."""
        return add_backward(dy, saved) if needs_dx else None, {}


class Concatenate(Join):
    """The channels of several branches, one branch after the other.

    Examples
    --------
    >>> from rot180.nn import Conv2d
    >>> Concatenate([], [Conv2d(12, 3)]).output_shape((8, 8, 16), (8, 8, 12))
    (8, 8, 28)
    """

    kind = "concat"

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """Return the shape of the inputs with the sum of their channels."""
        if len({shape[:-1] for shape in input_shapes}) > 1:
            raise ShapeError(
                f"{self.label}: concatenated branches must have one height and width; they have {_told(input_shapes)}"
            )
        return *input_shapes[0][:-1], sum(shape[-1] for shape in input_shapes)

    def forward(
        self, *inputs: Array, training: bool = False, generator: np.random.Generator | None = None
    ) -> tuple[Array, tuple[int, ...]]:
        """Return all channels and the number of each input's channels."""
        return concatenate(*inputs), tuple(x.shape[-1] for x in inputs)

    def backward(  # type: ignore[override]
        self, dy: Array, saved: tuple[int, ...], *, needs_dx: bool = True
    ) -> tuple[tuple[Array, ...] | None, dict[str, Array]]:
        """Return for each input the part of dy that belongs to its channels."""
        return concatenate_backward(dy, saved) if needs_dx else None, {}


class Multiply(Join):
    """Feature maps times a gate: an array of the same shape, or one value per channel, as in squeeze-and-excitation.

    The first branch is the maps, the second the gate.

    Examples
    --------
    >>> from rot180.nn import AvgPool2d, Conv2d, Sigmoid
    >>> Multiply([], [AvgPool2d(4), Conv2d(8, 1), Sigmoid()]).output_shape((4, 4, 8), (8,))
    (4, 4, 8)
    """

    kind = "multiply"

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """Return the shape of the first input."""
        if len(input_shapes) != 2 or input_shapes[1] not in (input_shapes[0], input_shapes[0][-1:]):
            raise ShapeError(
                f"{self.label}: a gate takes two branches, maps and factors, which must have the shape of the maps or "
                f"one value per channel; they have {_told(input_shapes)}"
            )
        return input_shapes[0]

    def forward(
        self, *inputs: Array, training: bool = False, generator: np.random.Generator | None = None
    ) -> tuple[Array, tuple[Array, ...]]:
        """Return the product and both inputs."""
        return multiply(*inputs), inputs

    def backward(  # type: ignore[override]
        self, dy: Array, saved: tuple[Array, ...], *, needs_dx: bool = True
    ) -> tuple[tuple[Array, ...] | None, dict[str, Array]]:
        """Return for each input dy times the other one."""
        return multiply_backward(dy, *saved) if needs_dx else None, {}


JOINS: tuple[type[Join], ...] = (Add, Concatenate, Multiply)
"""The built-in joins."""


def _told(shapes: Sequence[Shape]) -> str:
    return ", ".join("x".join(map(str, shape)) for shape in shapes)
