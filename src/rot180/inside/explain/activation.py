"""Ledgers of elementwise layers: activations, dropout, flatten."""

from __future__ import annotations

import math
from typing import cast

import numpy as np

from rot180.inside.explain.ledger import Account, Factor, Step, Term
from rot180.inside.explain.view import Index, View
from rot180.nn.activation import LeakyReLU
from rot180.nn.dropout import DropPath


def _gate(view: View, index: Index) -> tuple[Factor, str]:
    is_open = bool(view.y[index] > 0)
    return Factor(float(is_open), name="gate"), "gate open" if is_open else "gate closed"


def relu_output(view: View, index: Index) -> Account:
    """max(0, x), or max(0, x + noise) in training."""
    gate, says = _gate(view, index)
    source = view.input(index)
    noise = view.trace.noise.get(view.place)
    if noise is None:
        return Account(
            f"ReLU: {says}, x {'>' if gate.value else '<='} 0", (Term((source, gate)),), passage=(says, source.cell)
        )
    return Account(
        f"noisy ReLU: {says}, x + noise {'>' if gate.value else '<='} 0",
        (Term((source, gate)), Term((Factor(float(noise[index]), name="noise"), gate), pinned=True)),
    )


def relu_input_grad(view: View, index: Index) -> Account:
    """Delta where the output is above zero."""
    gate, says = _gate(view, index)
    delta = view.delta(index)
    return Account(
        f"ReLU backward: {says}, the output is {'above' if gate.value else 'not above'} zero",
        (Term((delta, gate)),),
        passage=(says, delta.cell if gate.value else ""),
    )


def _slope(view: View, index: Index) -> Factor:
    slope = cast(LeakyReLU, view.layer).slope
    return Factor(1.0 if view.x[index] > 0 else slope, name="slope")


def leaky_output(view: View, index: Index) -> Account:
    """x, or slope * x below zero."""
    slope = _slope(view, index)
    return Account(f"leaky ReLU: x times {slope.value:g}", (Term((view.input(index), slope)),), roundings=1)


def leaky_input_grad(view: View, index: Index) -> Account:
    """Delta times the slope at x."""
    slope = _slope(view, index)
    return Account(
        f"leaky ReLU backward: delta times {slope.value:g}", (Term((view.delta(index), slope)),), roundings=1
    )


def sigmoid_output(view: View, index: Index) -> Account:
    """1 / (1 + exp(-x))."""
    source = view.input(index)
    y = _sigmoid(source.value)
    term = Term((source,), amount=y, formula="1 / (1 + exp(-x))", slopes=(y * (1 - y),))
    # exp turns the rounding of its argument, epsilon * |x|, into a relative error.
    return Account("sigmoid", (term,), roundings=8 + math.ceil(abs(source.value)))


def _sigmoid(x: float) -> float:
    e = math.exp(-abs(x))
    return 1 / (1 + e) if x >= 0 else e / (1 + e)


def sigmoid_input_grad(view: View, index: Index) -> Account:
    """dy * y * (1 - y)."""
    delta, y = view.delta(index), view.output(index)
    rest = Factor(1 - y.value, name="(1 - y)")
    slopes = (y.value * rest.value, delta.value * (1 - 2 * y.value), 0.0)
    term = Term((delta, y, rest), slopes=slopes)
    return Account("sigmoid backward: delta times y (1 - y)", (term,), roundings=4)


def tanh_output(view: View, index: Index) -> Account:
    """tanh(x)."""
    source = view.input(index)
    y = math.tanh(source.value)
    term = Term((source,), amount=y, formula="tanh(x)", slopes=(1 - y * y,))
    return Account("tanh", (term,), roundings=8)


def tanh_input_grad(view: View, index: Index) -> Account:
    """dy * (1 - y^2)."""
    delta, y = view.delta(index), view.output(index)
    left = 1 - y.value**2
    term = Term(
        (delta, y),
        amount=delta.value * left,
        formula="delta * (1 - y^2)",
        slopes=(left, -2 * y.value * delta.value),
    )
    # 1 - y^2 loses digits where y is near 1: the rounding error of the square stays while the difference shrinks.
    grain = 2 * float(np.finfo(view.y.dtype).eps) * abs(delta.value)
    return Account("tanh backward: delta times 1 - y^2", (term,), roundings=4, grain=grain)


def dropout_output(view: View, index: Index) -> Account:
    """x times the mask."""
    source = view.input(index)
    if view.saved is None:
        return Account(
            f"{_dropping(view)}: inactive, the number passes unchanged",
            (Term((source,)),),
            passage=("not in training", source.cell),
        )
    return _masked(view, index, source, _dropping(view))


def dropout_input_grad(view: View, index: Index) -> Account:
    """Delta times the mask."""
    delta = view.delta(index)
    if view.saved is None:
        return Account(
            f"{_dropping(view)}: inactive, delta passes unchanged",
            (Term((delta,)),),
            passage=("not in training", delta.cell),
        )
    return _masked(view, index, delta, f"{_dropping(view)} backward")


def _dropping(view: View) -> str:
    return "drop path" if isinstance(view.layer, DropPath) else "dropout"


def _masked(view: View, index: Index, source: Factor, name: str) -> Account:
    mask = Factor(float(np.broadcast_to(view.saved, view.x.shape)[index]), name="mask")
    says = f"kept, times {mask.value:g}" if mask.value else "dropped"
    return Account(f"{name}: {says}", (Term((source, mask)),), passage=(says, source.cell if mask.value else ""))


def flatten_output(view: View, index: Index) -> Account:
    """The same number at another index."""
    n, flat = index
    place = np.unravel_index(flat, view.x.shape[1:])
    source = view.input((n, *(int(i) for i in place)))
    return Account("flatten: the same number", (Term((source,)),), passage=("the same number", source.cell))


def flatten_input_grad(view: View, index: Index) -> Account:
    """The same number at another index."""
    n, *place = index
    flat = int(np.ravel_multi_index(tuple(place), view.x.shape[1:]))
    delta = view.delta((n, flat))
    return Account("flatten backward: the same number", (Term((delta,)),), passage=("the same number", delta.cell))


def softmax_output(view: View, index: Index) -> Account:
    """exp(x_k) / sum of exp(x)."""
    *row, k = index
    sources = [view.input((*row, i)) for i in range(view.x.shape[-1])]
    return softmax_account(sources, k)


def softmax_account(sources: list[Factor], k: int) -> Account:
    """Explain one probability of a softmax over these numbers."""
    largest = max(source.value for source in sources)
    powers = [math.exp(source.value - largest) for source in sources]
    total = math.fsum(powers)
    p = [power / total for power in powers]
    steps = (
        Step("largest, subtracted so that exp cannot overflow", "", largest),
        *(Step(f"exp({source.cell} - largest)", "", power) for source, power in zip(sources, powers, strict=True)),
        Step("sum of these", "", total),
    )
    slopes = tuple(p[k] * ((i == k) - p[i]) for i in range(len(p)))
    term = Term(tuple(sources), amount=p[k], formula=f"exp({sources[k].cell} - largest) / sum", slopes=slopes)
    spread = max(abs(source.value - largest) for source in sources)
    return Account(
        f"softmax: one of {len(p)} numbers that sum to 1",
        (term,),
        steps=steps,
        # exp turns the rounding of its argument, epsilon * |x|, into a relative error.
        roundings=8 + len(p) + math.ceil(spread + abs(largest)),
    )


def softmax_input_grad(view: View, index: Index) -> Account:
    """y_k * (dy_k - sum of dy_i * y_i)."""
    *row, _ = index
    own = view.output(index)
    terms = [Term((view.delta(index), own))]
    for i in range(view.y.shape[-1]):
        y = view.output((*row, i))
        factors = (view.delta((*row, i)), y, own, Factor(-1.0, name="-1"))
        terms.append(Term(factors))
    return Account("softmax backward: y (delta - sum of delta y)", tuple(terms), roundings=3)
