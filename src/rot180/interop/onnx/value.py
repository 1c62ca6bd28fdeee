"""What a node reads while a graph is lifted: a constant, or a value, which is the output of a layer seen as ONNX does.

The arrays of a network are (N, H, W, C) or (N, n). ONNX sees the same numbers with other axes, which are named:

    N C H W     the axes of an array
    1           an axis of size 1 that the array does not have, as after global pooling: (N, C, 1, 1) is (N, C)
    F           maps flattened in ONNX's order, channels first, while the array has them last; `maps` is their shape
    G K         channels split into groups, and the channels of a group
    M           the pixels and channels of a group together; `maps` is the shape of all

So transpositions are renamed axes, and no layer.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rot180.interop.lifted_nodes import LiftedNodes
from rot180.interop.onnx.call import Call
from rot180.nn import Layer
from rot180.ops.types import Array

MAPS, VECTOR, POOLED = "NCHW", "NC", "NC11"
"""The axes of feature maps, of vectors, and of maps reduced to one value per channel."""


class Value(NamedTuple):
    """The output of a layer, or the network's input.

    Attributes
    ----------
    place : int
        The place of the node.
    shape : tuple of int
        As ONNX sees it, with the batch.
    axes : str
        The name of each axis.
    maps : tuple of int
        (C, H, W) of what was flattened to F, or to G and M.
    exclusive : bool
        Whether no other node reads the same layer.
    """

    place: int
    shape: tuple[int, ...]
    axes: str
    maps: tuple[int, ...] = ()
    exclusive: bool = True

    @property
    def channels(self) -> int:
        """The number of channels; raises ValueError if it is so large that numbers for them would fill the memory."""
        count = self.shape[self.axes.index("C")]
        if count > MAX_CHANNELS:
            raise ValueError(f"at most {MAX_CHANNELS:,} channels are supported; these are {count:,}")
        return count


MAX_CHANNELS = 2**20

Operand = Value | Array
LiftCall = Call[Operand]


def value(call: LiftCall, place: int, *axes: str) -> Value:
    """Return an input that must be a value, with one of these axes if any are given; raise ModelError otherwise."""
    found = call.input(place)
    if not isinstance(found, Value):
        raise call.error(f"its input {place} is constant, which no layer takes")
    if axes and found.axes not in axes:
        raise call.error(f"no layer does this with an input of shape {list(found.shape)}, whose axes are {found.axes}")
    return found


def constant(call: LiftCall, place: int) -> Array:
    """Return an input that must be constant; raise ModelError otherwise."""
    found = call.input(place)
    if isinstance(found, Value):
        raise call.error(f"its input {place} must be constant: a layer's parameters are not computed by other layers")
    return found


def optional_constant(call: LiftCall, place: int) -> Array | None:
    """Return an input that must be constant or left out."""
    return None if call.optional(place) is None else constant(call, place)


class Lifted(LiftedNodes[Array]):
    """The nodes of the network so far."""

    def add(self, call: LiftCall, layer: Layer, *read: Value, **arrays: Array | None) -> int:
        """Append a node with the arrays of its layer, and return its place; raise ModelError if it does not fit."""
        given = {name: _float(call, array) for name, array in arrays.items() if array is not None}
        return self.append(call, layer, [source.place for source in read], given)

    def same(self, call: LiftCall, layer: Layer, source: Value, **arrays: Array | None) -> Value:
        """Append a layer that keeps the shape, and return its value."""
        place = self.add(call, layer, source, **arrays)
        return source._replace(place=place, exclusive=True)

    def maps(self, call: LiftCall, layer: Layer, *read: Value, **arrays: Array | None) -> Value:
        """Append a layer whose output is maps, and return its value."""
        place = self.add(call, layer, *read, **arrays)
        height, width, channels = self.shapes[place]
        return Value(place, (read[0].shape[0], channels, height, width), MAPS)

    def vector(self, call: LiftCall, layer: Layer, source: Value, axes: str = VECTOR, **arrays: Array | None) -> Value:
        """Append a layer whose output is a vector, and return its value with these axes."""
        place = self.add(call, layer, source, **arrays)
        (size,) = self.shapes[place]
        return Value(place, tuple({"N": source.shape[0], "C": size}.get(axis, 1) for axis in axes), axes)


def _float(call: LiftCall, array: Array) -> Array:
    if array.dtype.kind != "f":
        raise call.error(f"parameters must be floats; they are {array.dtype}")
    if not np.isfinite(array).all():
        raise call.error("a parameter is infinite or NaN")
    return array
