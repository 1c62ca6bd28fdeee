"""From a cell to its ledger: find the layer that computed the number, and the sum behind it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rot180.errors import ArgumentError
from rot180.inside.explain import (
    activation,
    convolution,
    elementwise,
    joins,
    linear,
    loss,
    normalization,
    pooling,
    resizing,
    transposed,
)
from rot180.inside.explain.cells import GRAD, UPDATE, VALUE, Cell, edges, name_of, read_cell
from rot180.inside.explain.ledger import Account, Factor, Ledger, Term
from rot180.inside.explain.trace import Trace
from rot180.inside.explain.update import explain_update
from rot180.inside.explain.view import Index, View
from rot180.nn.activation import LeakyReLU, NoisyReLU, ReLU, Sigmoid, Softmax, Tanh
from rot180.nn.activation_piecewise import PReLU
from rot180.nn.batch_norm import BatchNorm2d
from rot180.nn.channels import ChannelShuffle, ChannelSlice, LocalResponseNorm
from rot180.nn.conv2d import Conv2d
from rot180.nn.conv_transpose2d import ConvTranspose2d
from rot180.nn.dropout import Dropout, DropPath
from rot180.nn.flatten import Flatten
from rot180.nn.global_pooling import AdaptiveAvgPool2d, GlobalAvgPool2d, GlobalMaxPool2d
from rot180.nn.group_norm import GroupNorm, InstanceNorm2d, LayerNorm
from rot180.nn.joins import Add, Concatenate, Multiply
from rot180.nn.layer import Layer
from rot180.nn.linear import Linear
from rot180.nn.pooling import AvgPool2d, MaxPool2d
from rot180.nn.upsample import Upsample

Explainer = Callable[[View, Index], Account]

_NORMALIZATIONS = (BatchNorm2d, GroupNorm, LayerNorm, InstanceNorm2d)

EXPLAINERS: dict[type[Layer], tuple[Explainer, Explainer]] = {
    Conv2d: (convolution.output, convolution.input_grad),
    ConvTranspose2d: (transposed.output, transposed.input_grad),
    Linear: (linear.output, linear.input_grad),
    **dict.fromkeys(_NORMALIZATIONS, (normalization.output, normalization.input_grad)),
    LocalResponseNorm: (elementwise.lrn_output, elementwise.lrn_input_grad),
    MaxPool2d: (pooling.max_output, pooling.max_input_grad),
    AvgPool2d: (pooling.avg_output, pooling.avg_input_grad),
    GlobalAvgPool2d: (resizing.global_avg_output, resizing.global_avg_input_grad),
    GlobalMaxPool2d: (resizing.global_max_output, resizing.global_max_input_grad),
    AdaptiveAvgPool2d: (resizing.resized_output, resizing.resized_input_grad),
    Upsample: (resizing.resized_output, resizing.resized_input_grad),
    ReLU: (activation.relu_output, activation.relu_input_grad),
    NoisyReLU: (activation.relu_output, activation.relu_input_grad),
    LeakyReLU: (activation.leaky_output, activation.leaky_input_grad),
    PReLU: (elementwise.prelu_output, elementwise.prelu_input_grad),
    **dict.fromkeys(elementwise.FUNCTIONS, (elementwise.function_output, elementwise.function_input_grad)),
    Sigmoid: (activation.sigmoid_output, activation.sigmoid_input_grad),
    Tanh: (activation.tanh_output, activation.tanh_input_grad),
    Softmax: (activation.softmax_output, activation.softmax_input_grad),
    Dropout: (activation.dropout_output, activation.dropout_input_grad),
    DropPath: (activation.dropout_output, activation.dropout_input_grad),
    Flatten: (activation.flatten_output, activation.flatten_input_grad),
    ChannelShuffle: (elementwise.shuffle_output, elementwise.shuffle_input_grad),
    ChannelSlice: (elementwise.slice_output, elementwise.slice_input_grad),
    Add: (joins.add_output, joins.add_input_grad),
    Concatenate: (joins.concatenate_output, joins.concatenate_input_grad),
    Multiply: (joins.multiply_output, joins.multiply_input_grad),
}
"""The functions that explain the output of a layer, and the gradient of its input."""

PARAMETER_GRAD: dict[type[Layer], Callable[[View, str, Index], Account]] = {
    Conv2d: convolution.parameter_grad,
    ConvTranspose2d: transposed.parameter_grad,
    Linear: linear.parameter_grad,
    PReLU: elementwise.prelu_weight_grad,
    **dict.fromkeys(_NORMALIZATIONS, normalization.parameter_grad),
}
"""The functions that explain the gradients of a layer's parameters."""


def explain_cell(trace: Trace, cell: Cell) -> Ledger:
    """Return the ledger of one number of a pass."""
    stored = stored_value(trace, cell)
    name = name_of(cell, trace.model, trace.count)
    return Ledger(name, stored, _account(trace, cell), float(np.finfo(trace.model.dtype).eps))


def stored_value(trace: Trace, cell: Cell) -> float:
    """Return the number that the network computed."""
    if cell.array == "loss":
        return trace.loss_value
    if cell.array == "probability":
        if trace.outputs[-1].ndim > 2:
            raise ArgumentError("the network returns maps, which are no probabilities; ask for output[...]")
        return float(loss.probabilities(trace)[cell.index])
    if cell.layer < 0:
        return float((trace.x if cell.what == VALUE else trace.deltas[0])[cell.index])
    if cell.array == "output":
        return float((trace.outputs[cell.layer] if cell.what == VALUE else trace.deltas[cell.layer + 1])[cell.index])
    if cell.slot is not None:
        return float(trace.contributions[cell.layer][cell.slot][cell.index])
    layer = trace.model.layers[cell.layer]
    if cell.array in layer.statistics:
        return float(layer.statistics[cell.array][cell.index])
    if cell.array not in layer.parameters:
        return normalization.own_value(View(trace, cell.layer), cell)
    full = f"{layer.name}.{cell.array}"
    arrays = {VALUE: layer.parameters, GRAD: trace.gradients, UPDATE: trace.updates}[cell.what]
    return float(arrays[cell.array if cell.what == VALUE else full][cell.index])


def way(trace: Trace, name: str) -> list[tuple[str, str]]:
    """Follow a number that was only passed on, through gates, winners and reshaping.

    Returns
    -------
    list of (reason, cell)
        What passed or stopped the number, and the next cell on the way; an empty cell where it ends.
    """
    found: list[tuple[str, str]] = []
    while True:
        try:
            account = _account(trace, read_cell(name, trace.model, trace.count))
        except ArgumentError:
            return found
        if account.passage is None:
            return found
        reason, name = account.passage
        found.append((reason, name))
        if not name:
            return found


def _account(trace: Trace, cell: Cell) -> Account:
    last = len(trace.model.layers) - 1
    if cell.array == "loss":
        return loss.value(trace)
    if cell.array == "probability":
        return loss.probability(trace, cell.index)
    if cell.slot is not None:
        return _input_grad(trace, cell.layer, cell.slot, cell.index)
    if cell.array != "output":
        return _own(trace, cell)
    if cell.what == GRAD:
        if cell.layer == last:
            return loss.output_grad(trace, cell.index)
        readers = edges(trace.model, cell.layer)
        if len(readers) > 1:
            return joins.fork_grad(trace, cell.layer, cell.index)
        return _input_grad(trace, *readers[0], cell.index)
    if cell.layer < 0:
        return _image(trace, cell)
    return _explainers(trace, cell.layer)[0](View(trace, cell.layer), cell.index)


def _own(trace: Trace, cell: Cell) -> Account:
    """Explain a number of a parameter, of a statistic or of a normalization's own array."""
    layer, view = trace.model.layers[cell.layer], View(trace, cell.layer)
    if cell.what == UPDATE:
        return explain_update(trace, cell)
    if cell.array in layer.statistics:
        return normalization.statistic(view, cell.array, cell.index)
    if cell.array not in layer.parameters:
        return normalization.own(view, cell)
    if cell.what == GRAD:
        _explainers(trace, cell.layer)
        return PARAMETER_GRAD[type(layer)](view, cell.array, cell.index)
    value = Factor(stored_value(trace, cell), name="learned")
    ask = name_of(Cell(cell.layer, cell.array, UPDATE, cell.index), trace.model, trace.count)
    return Account(f"a parameter; {ask} explains how it changes", (Term((value,)),))


def _input_grad(trace: Trace, place: int, slot: int, index: Index) -> Account:
    return _explainers(trace, place)[1](View(trace, place, slot), index)


def _image(trace: Trace, cell: Cell) -> Account:
    """Return the ledger of a pixel: its value before preprocessing."""
    raw = float(trace.images[cell.index])
    value = Factor(stored_value(trace, cell), name="pixel")
    return Account(
        f"a pixel: read as {raw:g}, then preprocessed by {trace.model.preprocessing.kind!r}", (Term((value,)),)
    )


def _explainers(trace: Trace, place: int) -> tuple[Explainer, Explainer]:
    layer = trace.model.layers[place]
    if type(layer) not in EXPLAINERS:
        raise ArgumentError(
            f"explain supports the layers of rot180.nn; {layer.name} is {type(layer).__name__}, a layer of your own"
        )
    return EXPLAINERS[type(layer)]
