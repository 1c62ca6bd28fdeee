"""The network that is built from the layers of a Keras model: its nodes, shapes and arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from rot180.errors import ModelError, short
from rot180.interop.keras.container import KerasFile, Variables
from rot180.interop.keras.graph import LayerCall
from rot180.interop.lifted_nodes import LiftedNodes
from rot180.interop.stored import StoredArray
from rot180.nn import Layer
from rot180.nn.layer import Shape

NO_PADDING = ((0, 0), (0, 0))

MAX_MADE = 2**20
"""The most values of an array that a file leaves out, as a normalization without a scale does."""


class Value(NamedTuple):
    """The output of a layer, as Keras sees it.

    Attributes
    ----------
    place : int
        The place of the node; -1 is the network's input.
    shape : (H, W, C) or (n,)
        Of one image.
    is_pooled : bool
        Whether the vector is a map of a single pixel for Keras.
    padding : ((top, bottom), (left, right))
        Zeros that Keras has added around the map, and the next layer has to.
    scaling : int
        How many layers have scaled it, if it is the network's input.
    """

    place: int
    shape: Shape
    is_pooled: bool = False
    padding: tuple[tuple[int, int], tuple[int, int]] = NO_PADDING
    scaling: int = 0

    @property
    def is_maps(self) -> bool:
        """Whether it is feature maps."""
        return len(self.shape) == 3


class Call:
    """A layer of Keras, with the values that it reads and its variables.

    Attributes
    ----------
    file : KerasFile
    layer : LayerCall
    inputs : list of Value
    variables : dict of str to StoredArray
    """

    def __init__(self, file: KerasFile, layer: LayerCall, inputs: list[Value], variables: Variables) -> None:
        self.file, self.layer, self.inputs, self.variables = file, layer, inputs, variables

    def error(self, why: str) -> ModelError:
        """Return an error that names the file and the layer."""
        return ModelError(f"{self.file.path}: the layer {self.layer.name} ({self.layer.kind[:40]}): {why}")

    def input(self) -> Value:
        """Return the only input, without zeros around it."""
        found = self.padded_input()
        if found.padding != NO_PADDING:
            raise self.error("zeros are added before it; that is supported before convolutions and pooling only")
        return found

    def padded_input(self) -> Value:
        """Return the only input."""
        if len(self.inputs) != 1:
            raise self.error(f"it reads {len(self.inputs)} values; it must read one")
        return self.inputs[0]

    def joined(self) -> list[Value]:
        """Return the inputs of a join."""
        if any(value.padding != NO_PADDING for value in self.inputs) or len(self.inputs) < 2:
            raise self.error("it must read two values or more, with no zeros added around them")
        return self.inputs

    def get(self, name: str, otherwise: Any = None) -> Any:
        """Return a setting; `otherwise` if it is not given or None."""
        found = self.layer.config.get(name)
        return otherwise if found is None else found

    def number(self, name: str, otherwise: float) -> float:
        """Return a setting that must be a finite number."""
        found = self.get(name, otherwise)
        if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
            raise self.error(f"{name} must be a number; it is {short(found)}")
        return float(f"{float(found):.7g}")  # some are stored as the nearest float32

    def whole(self, name: str, otherwise: int = 0) -> int:
        """Return a setting that must be a whole number from 0 to 2**20."""
        found = self.get(name, otherwise)
        if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found <= 2**20:
            raise self.error(f"{name} must be a whole number; it is {short(found)}")
        return found

    def pair(self, name: str, otherwise: int | list[int] = 1) -> tuple[int, int]:
        """Return a setting of one or two whole numbers."""
        found = self.get(name, otherwise)
        numbers = [found, found] if isinstance(found, int) else list(found)
        if len(numbers) != 2 or not all(type(number) is int and 0 <= number <= 2**20 for number in numbers):
            raise self.error(f"{name} must be two whole numbers; it is {short(found)}")
        return numbers[0], numbers[1]

    def require(self, name: str, *allowed: Any) -> None:
        """Raise an error unless a setting is missing or has one of some values."""
        if self.get(name, allowed[0]) not in allowed:
            raise self.error(f"{name}={short(self.get(name))} is not supported")

    def variable(self, name: str) -> StoredArray:
        """Return a variable."""
        if name not in self.variables:
            raise self.error(f"the file has no {name} of it; use another copy")
        return self.variables[name]

    def bias(self, name: str = "bias") -> StoredArray | None:
        """Return the bias, if the layer has one."""
        return self.variable(name) if self.get("use_bias", True) else None


@dataclass
class Building(LiftedNodes[StoredArray]):
    """The nodes of the network so far.

    Attributes
    ----------
    scaling : int
        How many layers have scaled the network's input.
    notes : list of str
        What was left out.
    scalings_read : set of int
        After how many of these layers the input was read by other layers.
    """

    scaling: int = 0
    notes: list[str] = field(default_factory=list)
    scalings_read: set[int] = field(default_factory=set)

    def add(self, call: Call, layer: Layer, *read: Value, **arrays: StoredArray | None) -> Value:
        """Append a node with the arrays of its layer, and return its value; raise ModelError if it does not fit."""
        self.scalings_read |= {value.scaling for value in read if value.place < 0}
        given = {name: array for name, array in arrays.items() if array is not None}
        place = self.append(call, layer, [source.place for source in read], given)
        return Value(place, self.shapes[place])

    def same(self, call: Call, layer: Layer, source: Value, **arrays: StoredArray | None) -> Value:
        """Append a layer that keeps the shape, and return its value."""
        return self.add(call, layer, source, **arrays)._replace(is_pooled=source.is_pooled)


def reshaped(array: StoredArray, shape: Shape) -> StoredArray:
    """Return a stored array with another shape of as many numbers; itself if they are not as many."""
    if math.prod(array.shape) != math.prod(shape):
        return array  # which is refused when it is compared with what the layer needs
    return StoredArray(shape, array.dtype, lambda: array.read().reshape(shape))


def made(call: Call, count: int, number: float) -> StoredArray:
    """Return an array of one number for what the file leaves out."""
    if count > MAX_MADE:
        raise call.error(f"at most {MAX_MADE:,} channels are supported here; these are {count:,}")
    return StoredArray((count,), "F32", partial(np.full, count, number, np.float32))
