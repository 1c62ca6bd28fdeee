"""The biography of a weight: its value over a training; and of one update, which images pushed it where, and how far.

A weight's gradient is a sum over the images of the batch: each of them pulls. The optimizer makes an update of the sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rot180.errors import ArgumentError
from rot180.inside.explain import Ledger, Trace, explain_in
from rot180.inside.explain.cells import GRAD, UPDATE, VALUE, Cell, name_of, read_cell
from rot180.inside.moments import Moment
from rot180.nn.loss import Loss
from rot180.nn.network import Network
from rot180.ops.types import Array

__all__ = ["Biography", "Chapter", "Push", "biography", "chapter", "trace_of"]

MOST_TERMS = 400_000
"""The most products of a gradient; about four seconds."""


@dataclass(frozen=True)
class Biography:
    """A weight over a training.

    Attributes
    ----------
    cell : str
    steps : tuple of int
        Updates done at each moment.
    values : tuple of float
    memory : dict of str to tuple of float
        What the optimizer remembered of its gradients, such as `m` and `v`.
    """

    cell: str
    steps: tuple[int, ...]
    values: tuple[float, ...]
    memory: dict[str, tuple[float, ...]]


@dataclass(frozen=True)
class Push:
    """One entry of a gradient: delta at a place of the layer's output, times what the weight was multiplied by there.

    Attributes
    ----------
    place : tuple of int
        Index in the output of the image, without the last axis: (row, column) in a map, () in a fully connected layer.
    value : float
    """

    place: tuple[int, ...]
    value: float


@dataclass(frozen=True)
class Chapter:
    """One update of a weight.

    Attributes
    ----------
    cell : str
    step : int
        Updates done before.
    value, gradient, after : float
        The weight, its gradient, and the weight after the update.
    pulls : tuple of float
        What each image of the batch adds to the gradient.
    pushes : tuple of Push
        Of one of these images, the entries of its pull.
    update : Ledger
        How the optimizer makes the update of the gradient.
    """

    cell: str
    step: int
    value: float
    gradient: float
    after: float
    pulls: tuple[float, ...]
    pushes: tuple[Push, ...]
    update: Ledger


def biography(model: Network, moments: Sequence[Moment], at: str) -> Biography:
    """Follow one parameter through a training.

    Parameters
    ----------
    model : Network
    moments : sequence of Moment
    at : str
        The parameter, such as `conv1.weight[2,2,0,7]`.

    Raises
    ------
    ArgumentError
        It is no parameter of the network.

    Examples
    --------
    >>> import rot180
    >>> data = rot180.load_data("digits").limit(320)
    >>> moments, model = rot180.inside.Moments(), rot180.network("8x8x1 > fc10")
    >>> history = rot180.fit(model, data, epochs=1, engine="numpy", subscribers=[moments])
    >>> found = biography(model, moments.kept, "fc1.weight[20,3]")
    >>> found.steps[-1], len(found.values), found.memory["v"][0]
    (10, 11, 0.0)
    """
    cell = _parameter(model, at)
    name = f"{model.layers[cell.layer].name}.{cell.array}"
    slots = sorted({slot for moment in moments if moment.optimizer for slot in moment.optimizer.state})
    return Biography(
        name_of(cell, model, 1),
        tuple(moment.step for moment in moments),
        tuple(float(moment.state[name][cell.index]) for moment in moments),
        {slot: tuple(_remembered(moment, slot, name, cell.index) for moment in moments) for slot in slots},
    )


def trace_of(model: Network, moment: Moment, images: Array, labels: Array, loss: str | Loss = "auto") -> Trace:
    """Return the pass of the next batch at a moment of a training, from which its chapters are read.

    Parameters
    ----------
    model : Network
        Not changed.
    moment : Moment
    images, labels
        The batch, as from `TrainingStarted.batch_of`.
    loss : str or Loss
        The training's.
    """
    optimizer, noise = moment.optimizer, moment.generator()
    return Trace(moment.of(model), images, labels, loss=loss, optimizer=optimizer, training=True, seed=noise)


def chapter(trace: Trace, step: int, at: str, image: int = 0) -> Chapter:
    """Tell one update of a parameter.

    Parameters
    ----------
    trace : Trace
        As from `trace_of`.
    step : int
        Updates done before.
    at : str
        The parameter.
    image : int
        Whose pushes are told, counted from 0 in the batch.

    Raises
    ------
    ArgumentError
        It is no parameter of the network, its gradient has too many entries, or the batch has no such image.
    """
    cell = _parameter(trace.model, at)
    if not 0 <= image < trace.count:
        raise ArgumentError(f"the batch has {trace.count} images, counted from 0; there is no number {image}")
    layer = trace.model.layers[cell.layer]
    delta = trace.deltas[cell.layer + 1]
    entries = delta.size // delta.shape[-1]
    if entries > MOST_TERMS:
        raise ArgumentError(
            f"the gradient of {at} is a sum of {entries:,} products, more than the {MOST_TERMS:,} that are told; "
            f"choose a layer with smaller maps"
        )
    ledger = explain_in(trace, name_of(Cell(cell.layer, cell.array, GRAD, cell.index), trace.model, trace.count))
    update = explain_in(trace, name_of(Cell(cell.layer, cell.array, UPDATE, cell.index), trace.model, trace.count))
    pulls, pushes = np.zeros(trace.count), []
    for term in ledger.terms:
        index = _index_of(term.factors[0].cell)
        number = index[0] if trace.count > 1 else 0
        pulls[number] += term.value
        if number == image:
            pushes.append(Push(index[trace.count > 1 : -1], term.value))
    value = float(layer.parameters[cell.array][cell.index])
    return Chapter(
        cell=name_of(cell, trace.model, 1),
        step=step,
        value=value,
        gradient=ledger.stored,
        after=value + update.stored,
        pulls=tuple(map(float, pulls)),
        pushes=tuple(pushes),
        update=update,
    )


def _parameter(model: Network, at: str) -> Cell:
    cell = read_cell(at, model, 1)
    is_inside = 0 <= cell.layer < len(model.layers)
    if cell.what != VALUE or not is_inside or cell.array not in model.layers[cell.layer].parameters:
        raise ArgumentError(f"{at[:80]} is not a parameter; name one such as conv1.weight[0,0,0,1]")
    return cell


def _remembered(moment: Moment, slot: str, name: str, index: tuple[int, ...]) -> float:
    state = {} if moment.optimizer is None else moment.optimizer.state.get(slot, {})
    return float(state[name][index]) if name in state else 0.0


def _index_of(cell: str) -> tuple[int, ...]:
    """Return the index of a cell.

    >>> _index_of("conv1.output.grad[31,7,7,0]")
    (31, 7, 7, 0)
    """
    return tuple(map(int, cell[cell.index("[") + 1 : -1].split(",")))
