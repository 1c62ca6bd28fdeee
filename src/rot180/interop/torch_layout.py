"""The arrays of a layer as PyTorch stores them, and back.

    convolution             (F, C/groups, KH, KW)      here (KH, KW, C/groups, F)
    transposed convolution  (C, F/groups, KH, KW)      here (KH, KW, F/groups, C)
    fully connected         (n_out, n_in)              here (n_in, n_out)

A fully connected layer after a flattened feature map counts its inputs as (C, H, W) in PyTorch and as (H, W, C) here;
as a convolution over the whole map, it is stored as (n_out, C, H, W). All other arrays are equal.
"""

from __future__ import annotations

import numpy as np

from rot180.nn import Conv2d, Flatten, Layer, Linear, Network
from rot180.ops.types import Array

Shape = tuple[int, ...]


def flattened_maps(network: Network) -> dict[str, Shape]:
    """Return for each fully connected layer the shape of the feature map, if any, that is flattened before it.

    >>> from rot180.nn import model
    >>> flattened_maps(model("lenet5"))
    {'fc1': (5, 5, 16)}
    """
    maps: dict[int, Shape] = {}
    found = {}
    for place, ((layer, reads), shapes) in enumerate(zip(network.nodes, network.layer_shapes, strict=True)):
        source = reads[0]
        if isinstance(layer, Flatten) and len(shapes.input) == 3:
            maps[place] = shapes.input
        elif source in maps and shapes.input == shapes.output and not layer.has_parameters:
            maps[place] = maps[source]  # an activation or dropout between the two
        if isinstance(layer, Linear) and source in maps:
            found[layer.name] = maps[source]
    return found


def torch_shapes(name: str, shape: Shape, flattened: Shape | None) -> tuple[Shape, ...]:
    """Return the shapes in which PyTorch may store an array of a layer, the usual one first.

    Parameters
    ----------
    name : str
        Its name within the layer, such as "weight".
    shape : tuple of int
        Its shape here.
    flattened : (H, W, C) or None
        From `flattened_maps`.

    >>> torch_shapes("weight", (5, 5, 3, 8), None), torch_shapes("weight", (100, 10), (5, 5, 4))
    (((8, 3, 5, 5),), ((10, 100), (10, 4, 5, 5)))
    """
    if len(shape) == 4:
        return (tuple(shape[axis] for axis in (3, 2, 0, 1)),)
    if len(shape) == 3:
        return ((shape[2], shape[0], shape[1]),)
    if len(shape) == 2:
        height, width, channels = flattened or (1, 1, shape[0])
        return ((shape[1], shape[0]), (shape[1], channels, height, width))
    return (shape,)


def own_shapes(layer: Layer, name: str, shape: Shape) -> tuple[Shape, ...]:
    """Return the shapes that an array may have in a file with the layout used here.

    The same numbers in the same order: Keras has (KH, KW, C, M) for a depthwise convolution with M filters a channel,
    and a fully connected layer of it may be a 1 x 1 convolution here, or the reverse.

    >>> own_shapes(Conv2d(6, 3, groups=3), "weight", (3, 3, 1, 6)), own_shapes(Linear(5), "weight", (4, 5))
    (((3, 3, 1, 6), (3, 3, 3, 2)), ((4, 5), (1, 1, 4, 5)))
    """
    if name != "weight":
        return (shape,)
    if isinstance(layer, Linear):
        return shape, (1, 1, *shape)
    if isinstance(layer, Conv2d) and layer.groups > 1 and shape[2] == 1:
        return shape, (*shape[:2], layer.groups, shape[3] // layer.groups)
    if isinstance(layer, Conv2d) and shape[:2] == (1, 1):
        return shape, shape[2:]
    return (shape,)


def from_torch(array: Array, shape: Shape, flattened: Shape | None) -> Array:
    """Return an array of PyTorch's in the layout used here; its shape is one of `torch_shapes`.

    >>> from_torch(np.zeros((8, 3, 5, 5), np.float32), (5, 5, 3, 8), None).shape
    (5, 5, 3, 8)
    """
    if len(shape) == 4:
        return np.ascontiguousarray(array.transpose(2, 3, 1, 0))
    if len(shape) == 3:
        return np.ascontiguousarray(array.transpose(1, 2, 0))
    if len(shape) == 2:
        height, width, channels = flattened or (1, 1, shape[0])
        maps = array.reshape(shape[1], channels, height, width)
        return np.ascontiguousarray(maps.transpose(2, 3, 1, 0)).reshape(shape)
    return array


def to_torch(array: Array, flattened: Shape | None) -> Array:
    """Return an array in PyTorch's layout: the reverse of `from_torch`.

    >>> array = np.arange(24.0).reshape(12, 2)
    >>> np.array_equal(from_torch(to_torch(array, (2, 3, 2)), (12, 2), (2, 3, 2)), array)
    True
    """
    if array.ndim == 4:
        return np.ascontiguousarray(array.transpose(3, 2, 0, 1))
    if array.ndim == 3:
        return np.ascontiguousarray(array.transpose(2, 0, 1))
    if array.ndim == 2:
        maps = array.reshape(*(flattened or (1, 1, len(array))), array.shape[1])
        return np.ascontiguousarray(maps.transpose(3, 2, 0, 1)).reshape(array.shape[1], -1)
    return array
