"""A network as a flat list of operations with resolved shapes, which all writers share.

All values are maps (H, W, C), a row of n numbers being (1, 1, n): a fully connected layer is a convolution of 1 x 1,
and flattening changes nothing but the shape. Batch normalization is folded into the layer before it where there is one.
Whatever takes means with fixed weights (mean pooling, global and adaptive, enlargement) is one operation, `resize`.

| kind | numbers | arrays |
|---|---|---|
| convolution | stride, dilation, padding (top, left), groups | weight (KH, KW, C/g, F), bias (F,) |
| transposed | stride, dilation, padding, groups | weight (KH, KW, F/g, C), bias (F,) |
| maximum | kernel, stride, padding | |
| resize | | row_start (OH,), row_weight (OH, A), column_start (OW,), column_weight (OW, B) |
| affine | | scale (C,), shift (C,) |
| group_norm | groups, eps | scale (C,), shift (C,) |
| layer_norm | span, eps | scale (span,), shift (span,) |
| response_norm | before, behind, factor, beta, k | |
| take | | channels (F,) |
| relu relu6 elu silu gelu gelu_tanh hardswish hardsigmoid sigmoid tanh | alpha (of elu) | |
| prelu | | slope (C,) |
| softmax add concatenate multiply | | |

`resize` is y[i, j] = sum_{p, q} row_weight[i, p] * column_weight[j, q] * x[row_start[i] + p, column_start[j] + q].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rot180.errors import ArgumentError, NonFiniteError
from rot180.interop.export import folding
from rot180.nn.graph import INPUT
from rot180.nn.network import Network
from rot180.nn.preprocessing import Preprocessing
from rot180.ops.types import Array
from rot180.training.diagnosis import refuse_non_finite_weights

Shape3 = tuple[int, int, int]


@dataclass(frozen=True)
class Operation:
    """One step of a program.

    Attributes
    ----------
    kind : str
    name : str
        The layer that it stands for.
    reads : tuple of int
        The values that it takes: 0 is the image, k the output of the k-th operation, from 1.
    takes : tuple of (H, W, C)
        Their shapes.
    shape : (H, W, C)
        The shape of its output.
    numbers : dict
        Whole numbers, pairs of them, and floats.
    arrays : dict of str to array
        float32 or int32.
    """

    kind: str
    name: str
    reads: tuple[int, ...]
    takes: tuple[Shape3, ...]
    shape: Shape3
    numbers: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class Program:
    """A network as operations, with everything that is needed to use it.

    Attributes
    ----------
    input_shape, output_shape : tuple of int
        Of one image, as in rot180: (H, W, C) or (n,).
    operations : tuple of Operation
    finish : str
        What makes the outputs of `rot180.predict` of the last value: `softmax` over the channels, `sigmoids` (each
        number's share of the sum of sigmoids), `hardsigmoids` likewise, or `none`.
    preprocessing : Preprocessing
    white : float
        The value of white in whole-number images: what pixels are divided by.
    class_names : tuple of str or None
    notation : str
    """

    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    operations: tuple[Operation, ...]
    finish: str
    preprocessing: Preprocessing
    white: float
    class_names: tuple[str, ...] | None
    notation: str

    @property
    def weights(self) -> int:
        """The number of weights."""
        return sum(array.size for operation in self.operations for array in operation.arrays.values())


def as_map(shape: Sequence[int]) -> Shape3:
    """Return a shape as that of maps.

    >>> as_map((5,)), as_map((2, 3, 4))
    ((1, 1, 5), (2, 3, 4))
    """
    return (1, 1, shape[0]) if len(shape) == 1 else (shape[0], shape[1], shape[2])


def program_of(model: Network, what: str) -> Program:
    """Return a built network as a program.

    Parameters
    ----------
    model : Network
    what : str
        What needs it, for messages: "export_python".

    Raises
    ------
    ArgumentError
        The model is not built, or has a layer of a user's own.
    NonFiniteError
        A weight is infinite, NaN or beyond float32.
    """
    from rot180.interop.standalone.layers import WRITERS

    if not model.is_built:
        raise ArgumentError(f"{what}: the model has no parameters yet; train it or load a trained one")
    for layer in model.layers:
        if type(layer) not in WRITERS:
            raise ArgumentError(
                f"{what}: {layer.name} is a layer of your own, {type(layer).__name__}, which cannot be written; build "
                f"the network from the layers of rot180.nn"
            )
    refuse_non_finite_weights(model, f"{what}: only a model with finite weights is written")
    gone, folded = folding.fold(model)
    places = {INPUT: 0}
    made: list[Operation] = []
    finish, end = _finish(model), len(model.nodes)
    if finish in ("sigmoids", "hardsigmoids"):  # part of the finish
        end -= 1
    for place, (layer, reads) in enumerate(model.nodes[:end]):
        shapes = model.layer_shapes[place]
        given = WRITERS[type(layer)](layer, shapes.inputs, folded.get(layer, layer.parameters))
        if given is None or place in gone:  # it changes nothing, or is part of the layer before it
            places[place] = places[reads[0]]
            continue
        kind, numbers, arrays = given
        made.append(
            Operation(
                kind,
                layer.name,
                tuple(places[read] for read in reads),
                tuple(map(as_map, shapes.inputs)),
                as_map(shapes.output),
                numbers,
                {name: _stored(f"{layer.name}.{name}", array, what) for name, array in arrays.items()},
            )
        )
        places[place] = len(made)
    return Program(
        model.input_shape,
        model.output_shape,
        tuple(made),
        finish,
        model.preprocessing,
        _white(model.preprocessing),
        model.class_names,
        model.notation,
    )


def _finish(model: Network) -> str:
    last = model.layers[-1]
    if last.output_kind == "logits":
        return "softmax"
    if last.output_kind == "sigmoids":
        return "hardsigmoids" if last.kind == "hardsigmoid" else "sigmoids"
    return "none"


def _white(preprocessing: Preprocessing) -> float:
    """Return what pixels of the training images are divided by."""
    pixels = preprocessing.pixels
    if preprocessing.kind == "none":
        return 1.0
    return 255.0 if pixels is None else pixels.white


def _stored(name: str, array: Array, what: str) -> Array:
    if array.dtype.kind == "i":
        return np.ascontiguousarray(array, np.int32)
    with np.errstate(over="ignore"):
        found = np.ascontiguousarray(array, np.float32)
    if not np.isfinite(found).all():
        raise NonFiniteError(
            f"{what}: {name} has numbers beyond the range of float32; train again with a lower --lr, or normalize the "
            f"images",
            array=name,
        )
    return found


def weight_bytes(program: Program) -> int:
    """Return the bytes of the weights as 32-bit numbers."""
    return 4 * program.weights
