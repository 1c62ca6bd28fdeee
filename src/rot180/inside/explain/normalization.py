"""Ledgers of batch, layer, group and instance normalization, down to mean and variance; `ops.normalization` derives the
gradient."""

from __future__ import annotations

import math
from typing import cast

import numpy as np

from rot180.errors import ArgumentError
from rot180.inside.explain.cells import GRAD, VALUE, Cell
from rot180.inside.explain.ledger import Account, Factor, Step, Term
from rot180.inside.explain.sets import Sets
from rot180.inside.explain.view import Index, View
from rot180.nn.batch_norm import BatchNorm2d, Normalized
from rot180.nn.normalization import Normalization
from rot180.ops.normalization import moments
from rot180.ops.types import Array


def _layer(view: View) -> Normalization:
    return cast(Normalization, view.layer)


def _sets(view: View) -> Sets:
    return Sets(_layer(view), view.x.shape)


def _uses_running(view: View) -> bool:
    """Whether the layer used its running statistics, as at inference."""
    return isinstance(view.layer, BatchNorm2d) and not cast(Normalized, view.saved).of_batch


def _statistics(view: View) -> tuple[Array, Array]:
    """Return mean and variance, computed as the layer does."""
    kept = view.trace.statistics
    if view.place not in kept:
        kept[view.place] = _computed_statistics(view)
    return kept[view.place]


def _computed_statistics(view: View) -> tuple[Array, Array]:
    if isinstance(view.layer, BatchNorm2d):
        saved = cast(Normalized, view.saved)
        return saved.mean, saved.var
    shape = _sets(view).statistics_shape
    n, c = view.x.shape[0], view.x.shape[-1]
    if len(shape) == 2 and view.layer.kind != "ln":
        mean, var = moments(view.x.reshape(n, -1, shape[1], c // shape[1]), (1, 3))
    else:
        mean, var = moments(view.x, tuple(range(len(shape), view.x.ndim)))
    return mean.reshape(shape), var.reshape(shape)


def _deviation(view: View, var: float) -> float:
    return math.sqrt(var + float(view.x.dtype.type(_layer(view).eps)))


def _used(view: View, index: Index) -> tuple[Factor, Factor]:
    """Return the mean and variance that normalize a value."""
    of = _sets(view).of(index)
    if _uses_running(view):
        return view.parameter("running_mean", of), view.parameter("running_var", of)
    mean, var = _statistics(view)
    return view.own(mean[of], "mean", of), view.own(var[of], "var", of)


def _scale(view: View, index: Index) -> tuple[Factor, ...]:
    """Return the weight of a value; none if the layer has none."""
    return (view.parameter("weight", _sets(view).parameter(index)),) if _layer(view).affine else ()


def _steps(view: View, index: Index, mean: Factor, var: Factor) -> tuple[Step, ...]:
    x, deviation = view.input(index), _deviation(view, var.value)
    return (
        Step("x", x.cell, x.value),
        Step("mean", mean.cell, mean.value),
        Step("variance", var.cell, var.value),
        Step("deviation", f"sqrt(variance + {_layer(view).eps:g})", deviation),
        Step("normalized", "(x - mean) / deviation", (x.value - mean.value) / deviation),
    )


def output(view: View, index: Index) -> Account:
    """weight * (x - mean) / sqrt(var + eps) + bias."""
    return _output(view, index, _scale(view, index))


def _output(view: View, index: Index, scale: tuple[Factor, ...]) -> Account:
    x, (mean, var) = view.input(index), _used(view, index)
    deviation = _deviation(view, var.value)
    weight = math.prod(factor.value for factor in scale)
    xhat = (x.value - mean.value) / deviation
    slopes = (weight / deviation, -weight / deviation, -weight * xhat / 2 / deviation**2, xhat)
    formula = "weight * (x - mean) / deviation" if scale else "(x - mean) / deviation"
    terms = [Term((x, mean, var, *scale), amount=weight * xhat, formula=formula, slopes=slopes[: 3 + len(scale)])]
    if scale:
        terms.append(Term((view.parameter("bias", _sets(view).parameter(index)),), pinned=True))
    rule = "normalization: mean and deviation of the running statistics"
    if not _uses_running(view):
        rule = f"normalization: mean and deviation of {_sets(view).size:,} numbers"
    return Account(rule, tuple(terms), steps=_steps(view, index, mean, var), roundings=6)


def input_grad(view: View, index: Index) -> Account:
    """Delta directly, through the mean, and through the variance."""
    sets, (mean, var) = _sets(view), _used(view, index)
    of, deviation = sets.of(index), _deviation(view, var.value)
    direct = Term((view.delta(index), *_scale(view, index), Factor(1 / deviation, name="1 / deviation")))
    steps = _steps(view, index, mean, var)
    if _uses_running(view):
        rule = "normalization backward: the running statistics are constants"
        return Account(rule, (direct,), steps=steps[1:4], roundings=6)
    share = Factor(1 / sets.size, name=f"1/{sets.size}")
    slope = Factor(2 * (view.x[index] - mean.value) / sets.size, name=f"2 (x - mean) / {sets.size}")
    by_mean, by_var, grain = _by_statistics(view, of)
    terms = (
        direct,
        Term((view.own(by_mean, "mean", of, GRAD), share)),
        Term((view.own(by_var, "var", of, GRAD), slope)),
    )
    return Account(
        "normalization backward: delta directly, through the mean, and through the variance",
        terms,
        steps=steps,
        notes=(f"each of the {sets.size:,} numbers normalized together moves their mean and variance",),
        roundings=10,
        grain=grain * (1 + abs(steps[-1].value)) / deviation,
    )


def _by_statistics(view: View, of: Index) -> tuple[float, float, float]:
    """Return the gradients of mean and variance, and the rounding error of the means behind them."""
    recorded, sets = view.trace.recorded(view.place), _sets(view)
    shape, m = sets.statistics_shape, sets.size
    mean_g, mean_g_xhat = (float(recorded[name].reshape(shape)[of]) for name in ("mean_g", "mean_g_xhat"))
    deviation = _deviation(view, float(_statistics(view)[1][of]))
    epsilon = float(np.finfo(view.x.dtype).eps)
    return -m * mean_g / deviation, -m * mean_g_xhat / 2 / deviation**2, epsilon * (abs(mean_g) + abs(mean_g_xhat))


def own_value(view: View, cell: Cell) -> float:
    """Return a number of the arrays that `sets.own_arrays` names, or of their gradients."""
    if cell.what == GRAD:
        if _uses_running(view):
            raise ArgumentError(
                f"{view.name}.{cell.array}.grad: at inference, mean and variance are constants; explain the pass "
                f"with training=True, or --training"
            )
        by_mean, by_var, _ = _by_statistics(view, cell.index)
        return by_mean if cell.array == "mean" else by_var
    mean, var = _statistics(view)
    if cell.array != "normalized":
        return float((mean if cell.array == "mean" else var)[cell.index])
    of = _sets(view).of(cell.index)
    eps = view.x.dtype.type(_layer(view).eps)
    return float((view.x[cell.index] - mean[of]) / np.sqrt(var[of] + eps))


def own(view: View, cell: Cell) -> Account:
    """Explain a number of the arrays that `sets.own_arrays` names, or of their gradients."""
    if cell.what == GRAD:
        own_value(view, cell)  # refused at inference
        return _mean_grad(view, cell.index) if cell.array == "mean" else _var_grad(view, cell.index)
    if cell.array == "normalized":
        return _output(view, cell.index, ())
    if _uses_running(view):
        running = view.parameter(f"running_{cell.array}", cell.index)
        return Account(
            "the running statistic, as at inference", (Term((running,)),), passage=("not in training", running.cell)
        )
    return _mean(view, cell.index) if cell.array == "mean" else _var(view, cell.index)


def _mean(view: View, of: Index) -> Account:
    sets = _sets(view)
    share = Factor(1 / sets.size, name=f"1/{sets.size}")
    terms = tuple(Term((view.input(place), share)) for place in sets.members(of))
    return Account(f"mean: each of {sets.size:,} numbers times 1/{sets.size}", terms, roundings=1)


def _var(view: View, of: Index) -> Account:
    sets = _sets(view)
    mean = view.own(_statistics(view)[0][of], "mean", of)
    terms = []
    for place in sets.members(of):
        x = view.input(place)
        off = x.value - mean.value
        slope = 2 * off / sets.size
        formula = f"({x.value:.7g} {x.cell} - mean)^2 / {sets.size}"
        terms.append(Term((x, mean), amount=off * off / sets.size, formula=formula, slopes=(slope, -slope)))
    return Account(
        f"variance: the mean of {sets.size:,} squared distances from the mean, divided by their number and not by one "
        f"less",
        tuple(terms),
        steps=(Step("mean", mean.cell, mean.value),),
        roundings=4,
    )


def _behind(view: View, of: Index) -> tuple[list[Index], float, float]:
    """Return the members of a set, their mean and their deviation."""
    mean, var = _statistics(view)
    return list(_sets(view).members(of)), float(mean[of]), _deviation(view, float(var[of]))


_NOTE = "the backward pass computes it as a mean, which is multiplied here by the number of entries"


def _mean_grad(view: View, of: Index) -> Account:
    members, _, deviation = _behind(view, of)
    minus = Factor(-1 / deviation, name="-1 / deviation")
    terms = tuple(Term((view.delta(place), *_scale(view, place), minus)) for place in members)
    return Account(
        "gradient of the mean: delta of each of the numbers that it is subtracted from",
        terms,
        steps=(Step("deviation", "", deviation),),
        notes=(_NOTE,),
        roundings=8,
    )


def _var_grad(view: View, of: Index) -> Account:
    members, mean, deviation = _behind(view, of)
    terms = []
    for place in members:
        slope = Factor(-(float(view.x[place]) - mean) / 2 / deviation**3, name="-(x - mean) / (2 deviation^3)")
        terms.append(Term((view.delta(place), *_scale(view, place), slope)))
    return Account(
        "gradient of the variance: delta of each of the numbers that are divided by the deviation",
        tuple(terms),
        steps=(Step("mean", "", mean), Step("deviation", "", deviation)),
        notes=(_NOTE,),
        roundings=12,
    )


def parameter_grad(view: View, name: str, index: Index) -> Account:
    """dweight = sum of dy * normalized; dbias = sum of dy."""
    places = list(_sets(view).sharing(index))
    if name == "bias":
        terms = tuple(Term((view.delta(place),)) for place in places)
        return Account(f"bias gradient: delta summed over {len(terms)} outputs", terms)
    terms = tuple(
        Term((view.delta(place), view.own(own_value(view, Cell(view.place, "normalized", VALUE, place)),
                                          "normalized", place)))
        for place in places
    )  # fmt: skip
    return Account(
        f"weight gradient: delta times the normalized number that the weight scaled: {len(terms)} products",
        terms,
        roundings=6,
    )


def statistic(view: View, name: str, index: Index) -> Account:
    """Explain a running statistic: a number that training learned."""
    value = view.parameter(name, index)
    return Account(
        "a running statistic: the average over the batches of training",
        (Term((Factor(value.value, name="learned"),)),),
    )
