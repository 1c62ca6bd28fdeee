"""The backward step that all activations share: delta times the derivative, called the gate."""

from __future__ import annotations

from rot180.errors import ShapeError
from rot180.ops.recorder import record
from rot180.ops.types import Array

__all__ = ["check_shape", "through"]


def through(dy: Array, gate: Array) -> Array:
    """Return dx = dy * gate, and name both to the recorder."""
    record("gate", gate)
    dx: Array = dy * gate
    record("dx", dx)
    return dx


def check_shape(name: str, array: Array, other: Array, what: str = "dy", whose: str = "x") -> None:
    """Raise ShapeError if two arrays of one forward pass differ in shape."""
    if array.shape != other.shape:
        raise ShapeError(
            f"{name}: {what} must have the shape of {whose}, {other.shape}; it is {array.shape}; "
            f"give the arrays of one forward pass"
        )
