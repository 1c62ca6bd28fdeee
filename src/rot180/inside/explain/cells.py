"""Parse names of numbers such as `conv1.weight.grad[2,2,0,7]`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rot180.errors import ArgumentError, ShapeError, did_you_mean
from rot180.inside.explain.sets import own_arrays
from rot180.nn.batch_norm import BatchNorm2d
from rot180.nn.graph import INPUT
from rot180.nn.network import Network

_CELL = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_-]*)((?:\.[a-z_]+[0-9]*)*)\s*(?:\[([0-9,\s-]*)\])?\s*")
FORMS = (
    "conv1.output[3,5,17], conv1.input.grad[3,5,0], conv1.weight.grad[2,2,0,7], conv1.weight.update[2,2,0,7], "
    "image[3,5,0], output.probability[7] or loss"
)
VALUE, GRAD, UPDATE = "value", "grad", "update"


@dataclass(frozen=True)
class Cell:
    """One number of a pass.

    Attributes
    ----------
    layer : int
        Its index in the network; -1 for the image, and the number of layers for what comes after the last layer.
    array : str
        `output`, `probability`, `loss`, or the name of a parameter, of a statistic or of a normalization's own array.
        `input`, or `input2` for a join, with the gradient that one of several readers of an output passes back.
    what : str
        `value`, `grad` or `update`.
    index : tuple of int
        The index in the array; for maps, units and images, preceded by the number of the image in the batch.
    """

    layer: int
    array: str
    what: str
    index: tuple[int, ...]

    @property
    def slot(self) -> int | None:
        """Which input of its layer it is in, from 0; None if it is in another array."""
        return slot_of(self.array)

    def at(self, index: tuple[int, ...]) -> Cell:
        """Return the cell at another index of the same array."""
        return Cell(self.layer, self.array, self.what, index)


def slot_of(array: str) -> int | None:
    """Return which input an array is by its name, from 0; None for other arrays.

    >>> slot_of("input"), slot_of("input2"), slot_of("input_gate")
    (0, 1, None)
    """
    match = re.fullmatch(r"input(\d*)", array)
    return int(match[1] or 1) - 1 if match else None


def name_of(cell: Cell, model: Network, images: int) -> str:
    """Return the name of a cell as a user writes it; in a batch of one image without the image number."""
    return with_index(*array_name(cell, model, images), cell.index)


def array_name(cell: Cell, model: Network, images: int) -> tuple[str, int]:
    """Return the name of a cell's array, and how many numbers of an index its name leaves out: that of the image."""
    if cell.array == "loss":
        return "loss", 0
    last = len(model.layers) - 1
    if cell.layer < 0:
        start = "image"
    elif cell.array == "probability":
        start = "output.probability"
    else:
        start = f"{model.layers[min(cell.layer, last)].name}.{cell.array}"
    suffix = "" if cell.what == VALUE else f".{cell.what}"
    return f"{start}{suffix}", int(images == 1 and _of_image(model, cell))


def with_index(array: str, left_out: int, index: tuple[int, ...]) -> str:
    """Return the name of the cell at an index of a named array."""
    shown = index[left_out:]
    return f"{array}[{','.join(map(str, shown))}]" if shown else array


def read_cell(text: str, model: Network, images: int) -> Cell:
    """Parse the name of a number.

    An `input` is the output of the layer that is read, or the image, and has its gradient. Where several layers read
    one output, the gradient of each `input` is what that reader contributes to the gradient of the output. The inputs
    of a join are `input1`, `input2`, ...

    Parameters
    ----------
    text : str
        `LAYER.ARRAY[INDEX]`, with `.grad` or `.update` after the array.
    model : Network
        A built network.
    images : int
        Images in the batch; with more than one, maps and units may take the image's number as first index, 0 by
        default.

    Raises
    ------
    ArgumentError
        The text cannot be parsed, or the layer or array does not exist.
    ShapeError
        The index does not fit the array's shape.

    Examples
    --------
    >>> import rot180
    >>> model = rot180.network("8x8x1 > conv3x3:2 relu > fc10").build()
    >>> read_cell("relu1.input.grad[0,5,1]", model, 1)
    Cell(layer=0, array='output', what='grad', index=(0, 0, 5, 1))
    """
    match = _CELL.fullmatch(text)
    if match is None:
        raise ArgumentError(f"{text!r} is not the name of a number; write it as {FORMS}")
    start, path = match[1], [part for part in match[2].split(".") if part]
    layer, array, what = _place(text, model, start, path)
    if array == "loss":
        if match[3] is not None:
            raise ArgumentError(f"{text!r}: the loss is a single number; write it without an index")
        return Cell(layer, array, what, ())
    shape, of_image = shape_of(model, layer, array)
    try:
        index = tuple(int(number) for number in (match[3] or "").split(",") if number.strip())
    except ValueError:
        raise ArgumentError(f"{text!r}: an index consists of integers separated by commas, such as [3,5,17]") from None
    if of_image:
        shape = (images, *shape)
        if len(index) == len(shape) - 1:
            index = (0, *index)
    shown = shape[1:] if of_image and images == 1 else shape
    if len(index) != len(shape) or any(not 0 <= i < n for i, n in zip(index, shape, strict=False)):
        largest = ",".join(str(n - 1) for n in shown)
        raise ShapeError(
            f"{text!r}: the array is {' x '.join(map(str, shown))}, so the index goes from "
            f"[{','.join('0' * len(shown))}] to [{largest}]"
        )
    return Cell(layer, array, what, index)


def shape_of(model: Network, layer: int, array: str) -> tuple[tuple[int, ...], bool]:
    """Return the shape of an array, for one image, and whether each image has its own."""
    if layer < 0:
        return model.input_shape, True
    place = min(layer, len(model.layers) - 1)
    shapes = model.layer_shapes[place]
    if array in ("output", "probability"):
        return shapes.output, True
    if (slot := slot_of(array)) is not None:
        return shapes.inputs[slot], True
    node = model.layers[place]
    for arrays in (node.parameters, node.statistics):
        if array in arrays:
            return arrays[array].shape, False
    return own_arrays(node, shapes.input)[array]


def _of_image(model: Network, cell: Cell) -> bool:
    """Return whether each image has its own array: as `shape_of`, but without computing shapes."""
    if cell.layer < 0 or cell.array in ("output", "probability", "normalized") or cell.slot is not None:
        return True
    layer = model.layers[cell.layer]
    return not (cell.array in layer.parameters or cell.array in layer.statistics or isinstance(layer, BatchNorm2d))


def edges(model: Network, place: int) -> list[tuple[int, int]]:
    """Return who reads an output: the place of each reader, and which of its inputs it is."""
    return [
        (reader, slot)
        for reader, node in enumerate(model.nodes)
        for slot, source in enumerate(node.reads)
        if source == place
    ]


def input_cell(model: Network, place: int, slot: int, what: str, index: tuple[int, ...] = ()) -> Cell:
    """Return the cell of a layer's input: that of the output it reads, unless several layers read that output and the
    gradient is asked for."""
    source = model.nodes[place].reads[slot]
    if what == GRAD and len(edges(model, source)) > 1:
        return Cell(place, f"input{slot + 1}" if model.layers[place].is_join else "input", GRAD, index)
    return Cell(source, "output", what, index)


def _place(text: str, model: Network, start: str, path: list[str]) -> tuple[int, str, str]:
    """Return layer, array and what, parsed from the parts of a cell's name."""
    names = [layer.name for layer in model.layers]
    count = len(names)
    what = path.pop() if path and path[-1] in (GRAD, UPDATE) else VALUE
    if start in names:
        if len(path) > 1:
            raise ArgumentError(f"{text!r} is not the name of a number; write it as {FORMS}")
        layer, array = names.index(start), path[0] if path else "output"
        node = model.nodes[layer]
        own = own_arrays(node.layer, model.layer_shapes[layer].input)
        inputs = [f"input{slot + 1}" for slot in range(len(node.reads))] if node.layer.is_join else ["input"]
        arrays = ("output", *inputs, *node.layer.parameters, *node.layer.statistics, *own)
        if array not in arrays:
            raise ArgumentError(f"{text!r}: {start} has no {array!r}{did_you_mean(array, arrays)}")
        if array in inputs:
            found = input_cell(model, layer, inputs.index(array), what)
            layer, array = found.layer, found.array
        elif what == GRAD and (array in node.layer.statistics or array == "normalized"):
            raise ArgumentError(f"{text!r}: {array} has no gradient of its own; ask for input.grad or mean.grad")
    elif start == "loss" and not path and what == VALUE:
        return count, "loss", VALUE
    elif start in ("image", "input") and not path:
        layer, array = INPUT, "output"
    elif start in ("output", "outputs") and path in ([], ["probability"]):
        layer, array = count - 1, path[0] if path else "output"
    else:
        raise ArgumentError(
            f"{text!r}: unknown layer {start!r}{did_you_mean(start, [*names, 'image', 'output', 'loss'])}"
        )
    is_parameter = 0 <= layer < count and array in model.layers[layer].parameters
    if what == UPDATE and not is_parameter:
        raise ArgumentError(f"{text!r}: only parameters are updated; ask for .grad, or for a weight's .update")
    if what == GRAD and array == "probability":
        raise ArgumentError(f"{text!r}: the gradient starts at the outputs; ask for output.grad")
    return layer, array, what
