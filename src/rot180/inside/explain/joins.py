"""Ledgers of joins, and of the gradient of an output that several layers read."""

from __future__ import annotations

import numpy as np

from rot180.inside.explain.cells import GRAD, edges, input_cell, name_of
from rot180.inside.explain.ledger import Account, Factor, Term
from rot180.inside.explain.trace import Trace
from rot180.inside.explain.view import Index, View


def _count(view: View) -> int:
    return len(view.trace.model.nodes[view.place].reads)


def fork_grad(trace: Trace, place: int, index: Index) -> Account:
    """The sum of what the readers of an output pass back, from the last reader to the first."""
    terms = []
    for reader, slot in reversed(edges(trace.model, place)):
        value = float(trace.contributions[reader][slot][index])
        cell = input_cell(trace.model, reader, slot, GRAD, index)
        terms.append(Term((Factor(value, name_of(cell, trace.model, trace.count)),)))
    return Account(f"read {len(terms)} times: the gradient is the sum of what the readers pass back", tuple(terms))


def add_output(view: View, index: Index) -> Account:
    """The sum of the branches."""
    terms = tuple(Term((view.input(index, slot),)) for slot in range(_count(view)))
    return Account(f"sum of {len(terms)} branches", terms)


def add_input_grad(view: View, index: Index) -> Account:
    """Delta, for each branch."""
    delta = view.delta(index)
    return Account(
        "sum backward: each branch receives all of delta", (Term((delta,)),), passage=("passed the sum", delta.cell)
    )


def _starts(view: View) -> list[int]:
    """Return the channel at which each branch starts."""
    widths = [view.trace.input(view.place, slot).shape[-1] for slot in range(_count(view))]
    return [0, *(int(start) for start in np.cumsum(widths)[:-1])]


def concatenate_output(view: View, index: Index) -> Account:
    """The same number of one branch."""
    starts = _starts(view)
    slot = max(k for k, start in enumerate(starts) if start <= index[-1])
    source = view.input((*index[:-1], index[-1] - starts[slot]), slot)
    return Account(
        f"concatenation: channel {index[-1] - starts[slot]} of branch {slot + 1}",
        (Term((source,)),),
        passage=(f"branch {slot + 1}", source.cell),
    )


def concatenate_input_grad(view: View, index: Index) -> Account:
    """Delta of the channel that holds the number."""
    channel = index[-1] + _starts(view)[view.slot]
    delta = view.delta((*index[:-1], channel))
    return Account(
        f"concatenation backward: delta of channel {channel}",
        (Term((delta,)),),
        passage=(f"channel {channel}", delta.cell),
    )


def multiply_output(view: View, index: Index) -> Account:
    """Maps times gate."""
    gate = index if view.trace.input(view.place, 1).ndim == view.y.ndim else (index[0], index[-1])
    return Account("product of maps and gate", (Term((view.input(index, 0), view.input(gate, 1))),), roundings=1)


def multiply_input_grad(view: View, index: Index) -> Account:
    """Delta times the other factor, summed over the pixels that share it."""
    whole = view.trace.input(view.place, 1).ndim == view.y.ndim
    if view.slot == 0:
        gate = view.input(index if whole else (index[0], index[-1]), 1)
        return Account("product backward: delta times the gate", (Term((view.delta(index), gate)),), roundings=1)
    pixels = [index]
    if not whole:
        pixels = [(index[0], *pixel, index[-1]) for pixel in np.ndindex(view.y.shape[1:-1])]
    terms = tuple(Term((view.delta(pixel), view.input(pixel, 0))) for pixel in pixels)
    return Account(
        f"product backward: delta times the maps, summed over the {len(terms)} pixels that share the gate",
        terms,
        roundings=1,
    )
