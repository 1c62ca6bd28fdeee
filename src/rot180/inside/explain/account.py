"""From a cell to its ledger: find the layer that computed the number, and the sum behind it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rot180.errors import ArgumentError
from rot180.inside.explain import activation, convolution, linear, loss, pooling
from rot180.inside.explain.cells import GRAD, UPDATE, VALUE, Cell, name_of, read_cell
from rot180.inside.explain.ledger import Account, Factor, Ledger, Term
from rot180.inside.explain.trace import Trace
from rot180.inside.explain.update import explain_update
from rot180.inside.explain.view import Index, View
from rot180.nn.activation import LeakyReLU, NoisyReLU, ReLU, Sigmoid, Softmax, Tanh
from rot180.nn.conv2d import Conv2d
from rot180.nn.dropout import Dropout
from rot180.nn.flatten import Flatten
from rot180.nn.layer import Layer
from rot180.nn.linear import Linear
from rot180.nn.pooling import AvgPool2d, MaxPool2d

Explainer = Callable[[View, Index], Account]

OUTPUT: dict[type[Layer], Explainer] = {
    Conv2d: convolution.output,
    Linear: linear.output,
    MaxPool2d: pooling.max_output,
    AvgPool2d: pooling.avg_output,
    ReLU: activation.relu_output,
    NoisyReLU: activation.relu_output,
    LeakyReLU: activation.leaky_output,
    Sigmoid: activation.sigmoid_output,
    Tanh: activation.tanh_output,
    Softmax: activation.softmax_output,
    Dropout: activation.dropout_output,
    Flatten: activation.flatten_output,
}
"""The functions that explain the output of a layer."""

INPUT_GRAD: dict[type[Layer], Explainer] = {
    Conv2d: convolution.input_grad,
    Linear: linear.input_grad,
    MaxPool2d: pooling.max_input_grad,
    AvgPool2d: pooling.avg_input_grad,
    ReLU: activation.relu_input_grad,
    NoisyReLU: activation.relu_input_grad,
    LeakyReLU: activation.leaky_input_grad,
    Sigmoid: activation.sigmoid_input_grad,
    Tanh: activation.tanh_input_grad,
    Softmax: activation.softmax_input_grad,
    Dropout: activation.dropout_input_grad,
    Flatten: activation.flatten_input_grad,
}
"""The functions that explain the gradient of a layer's input."""

PARAMETER_GRAD: dict[type[Layer], Callable[[View, str, Index], Account]] = {
    Conv2d: convolution.parameter_grad,
    Linear: linear.parameter_grad,
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
        return float(loss.probabilities(trace)[cell.index])
    if cell.layer < 0:
        return float((trace.inputs[0] if cell.what == VALUE else trace.deltas[0])[cell.index])
    if cell.array == "output":
        return float((trace.outputs[cell.layer] if cell.what == VALUE else trace.deltas[cell.layer + 1])[cell.index])
    layer = trace.model.layers[cell.layer]
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
    if cell.array != "output":
        if cell.what == UPDATE:
            return explain_update(trace, cell)
        if cell.what == GRAD:
            return _explainer(dict(PARAMETER_GRAD), trace, cell.layer)(View(trace, cell.layer), cell.array, cell.index)
        value = Factor(stored_value(trace, cell), name="learned")
        ask = name_of(Cell(cell.layer, cell.array, UPDATE, cell.index), trace.model, trace.count)
        return Account(f"a parameter; {ask} explains how it changes", (Term((value,)),))
    if cell.what == GRAD:
        if cell.layer == last:
            return loss.output_grad(trace, cell.index)
        return _explainer(dict(INPUT_GRAD), trace, cell.layer + 1)(View(trace, cell.layer + 1), cell.index)
    if cell.layer < 0:
        return _image(trace, cell)
    return _explainer(dict(OUTPUT), trace, cell.layer)(View(trace, cell.layer), cell.index)


def _image(trace: Trace, cell: Cell) -> Account:
    """Return the ledger of a pixel: its value before preprocessing."""
    raw = float(trace.images[cell.index])
    value = Factor(stored_value(trace, cell), name="pixel")
    return Account(
        f"a pixel: read as {raw:g}, then preprocessed by {trace.model.preprocessing.kind!r}", (Term((value,)),)
    )


def _explainer(table: dict[type[Layer], Callable[..., Account]], trace: Trace, place: int) -> Callable[..., Account]:
    layer = trace.model.layers[place]
    if type(layer) not in table:
        known = ", ".join(kind.__name__ for kind in OUTPUT)
        raise ArgumentError(f"explain supports the layers {known}; {layer.name} is {type(layer).__name__}")
    return table[type(layer)]
