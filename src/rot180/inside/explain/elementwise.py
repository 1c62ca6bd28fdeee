"""Ledgers of activations that are a formula of one number, of PReLU, and of operations across channels."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numpy as np

from rot180.inside.explain.ledger import Account, Factor, Step, Term
from rot180.inside.explain.view import Index, View
from rot180.nn.activation_piecewise import ELU, Hardsigmoid, Hardswish, ReLU6
from rot180.nn.activation_smooth import GELU, SiLU
from rot180.nn.channels import ChannelShuffle, ChannelSlice, LocalResponseNorm
from rot180.nn.layer import Layer


class _Function(NamedTuple):
    """An activation: its name, value and derivative at x, each also as text."""

    name: str
    value: Callable[[Any, float], float]
    slope: Callable[[Any, float], float]
    formula: str
    derivative: str


def _sigmoid(x: float) -> float:
    e = math.exp(-abs(x))
    return 1 / (1 + e) if x >= 0 else e / (1 + e)


def _phi(layer: GELU, x: float) -> tuple[float, float]:
    """Return the normal distribution function and its derivative, as the layer approximates them."""
    if layer.approximate == "none":
        return math.erfc(-x / math.sqrt(2)) / 2, math.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    root = math.sqrt(2 / math.pi)
    t = math.tanh(root * (x + 0.044715 * x**3))
    return (1 + t) / 2, (1 - t * t) / 2 * root * (1 + 3 * 0.044715 * x * x)


def _gelu_slope(layer: GELU, x: float) -> float:
    phi, density = _phi(layer, x)
    return phi + x * density


def _silu_slope(_: SiLU, x: float) -> float:
    s = _sigmoid(x)
    return s * (1 + x * (1 - s))


FUNCTIONS: dict[type[Layer], _Function] = {
    ReLU6: _Function(
        "ReLU6",
        lambda _, x: min(max(0.0, x), 6.0),
        lambda _, x: float(0 < x < 6),
        "min(max(0, x), 6)",
        "1 where 0 < x < 6, else 0",
    ),
    Hardsigmoid: _Function(
        "hard sigmoid",
        lambda _, x: min(max(0.0, x + 3), 6.0) / 6,
        lambda _, x: float(-3 < x < 3) / 6,
        "min(max(0, x + 3), 6) / 6",
        "1/6 where -3 < x < 3, else 0",
    ),
    Hardswish: _Function(
        "hard swish",
        lambda _, x: x * min(max(0.0, x + 3), 6.0) / 6,
        lambda _, x: 0.0 if x <= -3 else 1.0 if x >= 3 else (2 * x + 3) / 6,
        "x * min(max(0, x + 3), 6) / 6",
        "0 below -3, (2x + 3) / 6 up to 3, 1 above",
    ),
    ELU: _Function(
        "ELU",
        lambda layer, x: x if x > 0 else layer.alpha * math.expm1(x),
        lambda layer, x: 1.0 if x > 0 else layer.alpha * math.exp(x),
        "x where x > 0, else alpha * (exp(x) - 1)",
        "1 where x > 0, else alpha * exp(x)",
    ),
    SiLU: _Function(
        "SiLU",
        lambda _, x: x * _sigmoid(x),
        _silu_slope,
        "x * s(x), s the sigmoid",
        "s + x * s * (1 - s), s the sigmoid of x",
    ),
    GELU: _Function(
        "GELU",
        lambda layer, x: x * _phi(layer, x)[0],
        _gelu_slope,
        "x * Phi(x), Phi the normal distribution function",
        "Phi(x) + x * Phi'(x)",
    ),
}
"""Activations that need nothing but x and the layer's own constants."""


def _grain(view: View, size: float) -> float:
    """Return the error of a sum whose terms may cancel, of this size."""
    return 8 * float(np.finfo(view.x.dtype).eps) * size


def function_output(view: View, index: Index) -> Account:
    """f(x)."""
    f, source = FUNCTIONS[type(view.layer)], view.input(index)
    x = source.value
    term = Term((source,), amount=f.value(view.layer, x), formula=f.formula, slopes=(f.slope(view.layer, x),))
    return Account(
        f.name,
        (term,),
        steps=(Step("x", source.cell, x),),
        roundings=8 + math.ceil(min(abs(x), 64)),
        grain=_grain(view, min(abs(x), 1)),
    )


def function_input_grad(view: View, index: Index) -> Account:
    """dy * f'(x)."""
    f, delta, source = FUNCTIONS[type(view.layer)], view.delta(index), view.input(index)
    slope = Factor(f.slope(view.layer, source.value), name="slope")
    return Account(
        f"{f.name} backward: delta times the slope at x",
        (Term((delta, slope)),),
        steps=(Step("x", source.cell, source.value), Step("slope", f.derivative, slope.value)),
        roundings=8 + math.ceil(min(abs(source.value), 64)),
        grain=_grain(view, abs(delta.value) * (1 + min(abs(source.value), 8))),
    )


def _prelu_weight(view: View, index: Index) -> Factor:
    shared = view.layer.parameters["weight"].shape == (1,)
    return view.parameter("weight", (0,) if shared else index[-1:])


def prelu_output(view: View, index: Index) -> Account:
    """x, or weight * x below zero."""
    source = view.input(index)
    if source.value > 0:
        return Account("PReLU: x above zero passes unchanged", (Term((source,)),), passage=("above zero", source.cell))
    return Account(
        "PReLU: x not above zero, times the learned slope",
        (Term((source, _prelu_weight(view, index))),),
        roundings=1,
    )


def prelu_input_grad(view: View, index: Index) -> Account:
    """Delta, or weight * delta where x was not above zero."""
    delta = view.delta(index)
    if view.x[index] > 0:
        return Account(
            "PReLU backward: x was above zero, delta passes unchanged",
            (Term((delta,)),),
            passage=("above zero", delta.cell),
        )
    return Account(
        "PReLU backward: x was not above zero, delta times the learned slope",
        (Term((delta, _prelu_weight(view, index))),),
        roundings=1,
    )


def prelu_weight_grad(view: View, name: str, index: Index) -> Account:
    """dweight = sum of dy * x where x is not above zero."""
    shared = view.layer.parameters["weight"].shape == (1,)
    channels = view.x if shared else view.x[..., index[0] : index[0] + 1]
    first = 0 if shared else index[0]
    places = [(*(int(i) for i in place[:-1]), int(place[-1]) + first) for place in np.argwhere(channels <= 0)]
    terms = tuple(Term((view.delta(place), view.input(place))) for place in places)
    return Account(
        f"gradient of the slope: delta times x, at the {len(terms)} places where x is not above zero",
        terms,
        roundings=channels.size - len(terms),
    )


def shuffle_output(view: View, index: Index) -> Account:
    """The number of another channel."""
    return _moved(view, index, backward=False)


def shuffle_input_grad(view: View, index: Index) -> Account:
    """Delta of the channel that the number was moved to."""
    return _moved(view, index, backward=True)


def _moved(view: View, index: Index, *, backward: bool) -> Account:
    groups, channels = cast(ChannelShuffle, view.layer).groups, view.x.shape[-1]
    rows = channels // groups if backward else groups
    channel = index[-1] % rows * (channels // rows) + index[-1] // rows
    place = (*index[:-1], channel)
    source = view.delta(place) if backward else view.input(place)
    says = "channel shuffle backward" if backward else "channel shuffle"
    return Account(
        f"{says}: channel {channel} moved here", (Term((source,)),), passage=(f"channel {channel}", source.cell)
    )


def slice_output(view: View, index: Index) -> Account:
    """The number of the channel that it is in x."""
    channel = index[-1] + cast(ChannelSlice, view.layer).start
    source = view.input((*index[:-1], channel))
    return Account(f"channel slice: channel {channel} of the input", (Term((source,)),), passage=("kept", source.cell))


def slice_input_grad(view: View, index: Index) -> Account:
    """Delta of the same channel in the slice, or zero outside it."""
    layer = cast(ChannelSlice, view.layer)
    channel = index[-1] - layer.start
    if not 0 <= channel < layer.out_channels:
        return Account("channel slice backward: the channel was left out", (), passage=("left out", ""))
    delta = view.delta((*index[:-1], channel))
    return Account("channel slice backward: delta of the channel kept", (Term((delta,)),), passage=("kept", delta.cell))


def lrn_output(view: View, index: Index) -> Account:
    """x / (k + alpha * mean square of the neighboring channels)^beta."""
    layer = cast(LocalResponseNorm, view.layer)
    x, sources = view.input(index), [view.input((*index[:-1], c)) for c in _window(view, index[-1])]
    q = _q(view, index)
    y = x.value * q**-layer.beta
    slopes = tuple(
        (source.cell == x.cell) * q**-layer.beta - y * layer.beta / q * 2 * layer.alpha / layer.size * source.value
        for source in sources
    )
    term = Term(tuple(sources), amount=y, formula=f"{x.cell} / q^{layer.beta:g}", slopes=slopes)
    steps = (*(Step(source.cell, "", source.value) for source in sources), _q_step(layer, q))
    return Account("local response normalization", (term,), steps=steps, roundings=12 + len(sources))


def _q_step(layer: LocalResponseNorm, q: float) -> Step:
    return Step("q", f"{layer.k:g} + {layer.alpha:g} / {layer.size} * sum of their squares", q)


def _window(view: View, c: int, *, mirrored: bool = False) -> range:
    """Return the channels in the window around a channel; mirrored, those whose windows contain it."""
    size = cast(LocalResponseNorm, view.layer).size
    left, right = size // 2, (size - 1) // 2
    if mirrored:
        left, right = right, left
    return range(max(c - left, 0), min(c + right + 1, view.x.shape[-1]))


def _q(view: View, index: Index) -> float:
    layer = cast(LocalResponseNorm, view.layer)
    squares = math.fsum(float(view.x[(*index[:-1], c)]) ** 2 for c in _window(view, index[-1]))
    return layer.k + layer.alpha / layer.size * squares


def lrn_input_grad(view: View, index: Index) -> Account:
    """Delta of the own channel, and through the windows that contain it."""
    layer = cast(LocalResponseNorm, view.layer)
    own = view.input(index)
    terms = [Term((view.delta(index), Factor(_q(view, index) ** -layer.beta, name=f"1 / q^{layer.beta:g}")))]
    for c in _window(view, index[-1], mirrored=True):
        place = (*index[:-1], c)
        factor = -2 * layer.alpha * layer.beta / layer.size * _q(view, place) ** (-layer.beta - 1)
        terms.append(
            Term(
                (
                    view.delta(place),
                    view.input(place),
                    own,
                    Factor(factor, name=f"-2 * alpha * beta / (size * q^{layer.beta + 1:g})"),
                )
            )
        )
    return Account(
        "local response normalization backward: delta directly, and through each window that contains the channel",
        tuple(terms),
        roundings=16,
    )
