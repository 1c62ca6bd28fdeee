"""What an operator is given: its inputs, its attributes, and the version of the operator set."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from rot180.errors import ModelError
from rot180.interop.onnx.graph import Attribute, OnnxNode
from rot180.memory import require
from rot180.ops.types import Array

Input = TypeVar("Input")
Kind = TypeVar("Kind", int, float, str)


class Call(Generic[Input]):
    """One call of an operator.

    Attributes are read here and nowhere else. `unread` names those that nobody has asked for: whoever calls an operator
    refuses them, as a result that ignores them would be wrong.

    Parameters
    ----------
    node : OnnxNode
    inputs : sequence
        The values; None for one that is left out.
    opset : int
    path : str
        The file, for messages.
    limit : int, optional
        The most values that an operator may make.
    """

    def __init__(
        self, node: OnnxNode, inputs: Sequence[Input | None], opset: int, path: str, limit: int | None = None
    ) -> None:
        self.node, self.inputs, self.opset, self.path = node, tuple(inputs), opset, path
        self._limit = limit
        self._read: set[str] = set()

    def input(self, place: int) -> Input:
        """Return an input that must be there."""
        value = self.optional(place)
        if value is None:
            raise self.error(f"its input {place} is missing")
        return value

    def optional(self, place: int) -> Input | None:
        """Return an input, or None if it is left out."""
        return self.inputs[place] if place < len(self.inputs) else None

    @property
    def all_inputs(self) -> list[Input]:
        """The inputs, at least one, of which none may be left out."""
        return [self.input(place) for place in range(max(1, len(self.inputs)))]

    @property
    def outputs(self) -> int:
        """The number of outputs, including those left out."""
        return len(self.node.outputs)

    @property
    def unread(self) -> list[str]:
        """The attributes that nobody has asked for."""
        return sorted(self.node.attributes.keys() - self._read)

    def has(self, name: str) -> bool:
        """Return whether the node has an attribute."""
        return name in self.node.attributes

    def ignore(self, *names: str) -> None:
        """Note that attributes have no effect here."""
        self._read.update(names)

    def get_int(self, name: str, default: int | None = None) -> int:
        """Return an attribute that is a whole number."""
        return self._one(name, default, int)

    def get_float(self, name: str, default: float | None = None) -> float:
        """Return an attribute that is a number."""
        return self._one(name, default, float)

    def get_text(self, name: str, default: str | None = None) -> str:
        """Return an attribute that is a text."""
        return self._one(name, default, str)

    def get_ints(self, name: str, default: Sequence[int] | None = None) -> tuple[int, ...]:
        """Return an attribute that is a list of whole numbers."""
        value = self._value(name, None if default is None else list(default))
        if not isinstance(value, list) or not all(isinstance(number, int) for number in value):
            raise self._wrong(name, "whole numbers", value)
        return tuple(value)  # type: ignore[arg-type]

    def get_optional_ints(self, name: str) -> tuple[int, ...] | None:
        """Return an attribute that is a list of whole numbers, or None if the node does not have it."""
        return self.get_ints(name) if self.has(name) else None

    def get_floats(self, name: str, default: Sequence[float] | None = None) -> tuple[float, ...]:
        """Return an attribute that is a list of numbers."""
        value = self._value(name, None if default is None else list(default))
        if not isinstance(value, list) or not all(isinstance(number, float) for number in value):
            raise self._wrong(name, "numbers", value)
        return tuple(value)  # type: ignore[arg-type]

    def get_tensor(self, name: str, default: Array | None = None) -> Array:
        """Return an attribute that is a tensor."""
        value = self._value(name, default)
        if not isinstance(value, np.ndarray):
            raise self._wrong(name, "a tensor", value)
        return value

    def choice(self, name: str, default: str, known: Sequence[str]) -> str:
        """Return an attribute that is one of several texts."""
        value = self.get_text(name, default)
        if value not in known:
            raise self.error(f"{name} {value!r} is not supported; supported: {', '.join(known)}")
        return value

    def error(self, reason: str) -> ModelError:
        """Return the error for a node that cannot be used."""
        return ModelError(f"{self.path}: {self.node.label}: {reason}")

    def require(self, shape: Sequence[int], dtype: Any = np.float32) -> None:
        """Raise an error if an array that is about to be made is too large for the memory or for this call."""
        count = math.prod(int(n) for n in shape)
        if self._limit is not None and count > self._limit:
            raise self.error(
                f"a constant may be computed with at most {self._limit:,} values; this one needs {count:,}"
            )
        require(count * np.dtype(dtype).itemsize, f"{self.path}: {self.node.label}")
        if len(shape) > 32:
            raise self.error(f"an array may have at most 32 axes; this one has {len(shape)}")

    def axis(self, axis: int, rank: int) -> int:
        """Return an axis counted from the front, given one that may be counted from the end."""
        if not -rank <= axis < rank:
            raise self.error(f"axis {axis} of an array with {rank}")
        return int(axis) % rank

    def axes(self, axes: Sequence[int], rank: int) -> tuple[int, ...]:
        """Return axes counted from the front, each once."""
        found = tuple(self.axis(int(axis), rank) for axis in axes)
        if len(set(found)) < len(found):
            raise self.error(f"axes must differ; they are {list(axes)}")
        return found

    def _value(self, name: str, default: Any) -> Attribute:
        self._read.add(name)
        if name not in self.node.attributes:
            if default is None:
                raise self.error(f"it needs the attribute {name}")
            found: Attribute = default
            return found
        return self.node.attributes[name]

    def _one(self, name: str, default: Kind | None, kind: type[Kind]) -> Kind:
        value = self._value(name, default)
        if kind is float and isinstance(value, int):
            value = float(value)
        if not isinstance(value, kind):
            raise self._wrong(name, {int: "a whole number", float: "a number", str: "a text"}[kind], value)
        return value

    def _wrong(self, name: str, what: str, value: object) -> ModelError:
        found = "something else" if value is None or isinstance(value, np.ndarray) else str(value)[:60]
        return self.error(f"its attribute {name} must be {what}; it is {found}")


Evaluated = Array | tuple[Array | None, ...]
"""An operator's result: one array, or one for each output; None for an output that is left out."""

Operator = Callable[["Call[Array]"], Evaluated]
"""An implementation of an operator: a function of NumPy arrays."""

Versions = dict[int, Operator]
"""The implementations of an operator by the first version of the operator set that they are for."""


def as_numbers(call: Call[Array], array: Array) -> tuple[int, ...]:
    """Return a small vector of whole numbers, such as a shape or axes, that came as an input."""
    if array.dtype.kind not in "iu" or array.size > 1000:
        raise call.error(f"a list of whole numbers was expected; found {array.dtype} {array.shape}")
    return tuple(int(number) for number in array.reshape(-1))
