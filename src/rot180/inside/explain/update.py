"""Ledgers of an update: gradient, moments, bias correction, step."""

from __future__ import annotations

import math

import numpy as np

from rot180.errors import ArgumentError
from rot180.inside.explain.cells import GRAD, VALUE, Cell, name_of
from rot180.inside.explain.ledger import Account, Factor, Step, Term
from rot180.inside.explain.trace import Trace
from rot180.ops.muon import factors, length
from rot180.ops.update import clip_by_norm
from rot180.training.optimizers import SGD, Adam, Muon, RMSprop


def explain_update(trace: Trace, cell: Cell) -> Account:
    """Explain by how much an optimizer's next update changes one parameter."""
    layer = trace.model.layers[cell.layer]
    full = f"{layer.name}.{cell.array}"
    optimizer = trace.optimizer
    gradient = _factor(trace, cell, GRAD, float(trace.gradients[full][cell.index]))
    weight = _factor(trace, cell, VALUE, float(layer.parameters[cell.array][cell.index]))
    lr = optimizer.lr * layer.lr_factor
    # The new value is rounded to the float type of the weight, whose spacing may exceed a small step.
    grain = float(np.finfo(layer.parameters[cell.array].dtype).eps) * abs(weight.value)
    decay = float(getattr(optimizer, "weight_decay", 0.0)) if optimizer.decays(layer.parameters[cell.array]) else 0.0
    is_decoupled = bool(getattr(optimizer, "decoupled", False))
    clipping, slope_of_clipping, clipped = _clipping(trace, gradient.value)
    g = clipping * gradient.value + (0.0 if is_decoupled else decay * weight.value)
    steps = [Step("gradient", gradient.cell, gradient.value), Step("learning rate", "", lr)]
    if layer.lr_factor != 1:
        steps[-1] = Step("learning rate", f"{optimizer.lr:g} * {layer.lr_factor:g} of the layer", lr)
    steps += [Step(name, formula, clipping * gradient.value) for name, formula in clipped]
    if decay and not is_decoupled:
        steps.append(Step("g", f"gradient + {decay:g} * weight", g))

    def state(slot: str) -> float:
        array = optimizer.state[slot].get(full)
        return 0.0 if array is None else float(array[cell.index])

    if optimizer.orthogonalizes(layer.parameters[cell.array].shape) and isinstance(optimizer, Muon):
        return _muon(trace, cell, optimizer)
    if isinstance(optimizer, SGD):
        amount, slope, more = _sgd(optimizer, g, lr, state("velocity"))
    elif isinstance(optimizer, Adam):
        amount, slope, more = _adam(optimizer, g, lr, state("m"), state("v"))
    elif isinstance(optimizer, RMSprop):
        amount, slope, more = _rmsprop(optimizer, g, lr, state("square"))
    else:
        raise ArgumentError(f"explain supports sgd, adam, adamw, muon and rmsprop; the optimizer is {optimizer!r}")
    formula = more[-1].formula
    after = weight.value + float(trace.updates[full][cell.index])
    slopes = (slope * slope_of_clipping, 0.0 if is_decoupled else slope * decay)
    terms = [Term((gradient, weight), amount=amount, formula=formula, slopes=slopes)]
    if not decay or is_decoupled:
        terms = [Term((gradient,), amount=amount, formula=formula, slopes=slopes[:1])]
    if decay and is_decoupled:
        shrink = Factor(-lr * decay, name=f"-learning rate * {decay:g}")
        terms.append(Term((weight, shrink)))
    return Account(
        f"update {optimizer.step_count + 1} of {optimizer.rule}",
        tuple(terms),
        steps=(*steps, *more[:-1]),
        notes=(f"weight before {weight.value:.9g}, after {after:.9g}; adjacent floats there are {grain:.1g} apart",),
        roundings=12,
        grain=grain,
    )


def _clipping(trace: Trace, gradient: float) -> tuple[float, float, list[tuple[str, str]]]:
    """Return the factor by which the gradient is shortened, the derivative of the shortened gradient, and name and
    formula of that step if there is one."""
    limit = trace.optimizer.clip_norm
    norm = 0.0 if limit is None else clip_by_norm(trace.gradients, clip_norm=limit)[1]
    if limit is None or norm <= limit:
        return 1.0, 1.0, []
    factor = limit / norm
    slope = factor * (1 - (gradient / norm) ** 2)  # the norm grows with the gradient
    return factor, slope, [("gradient, clipped", f"gradient * {limit:g} / {norm:.6g}, the norm of all gradients")]


def _factor(trace: Trace, cell: Cell, what: str, value: float) -> Factor:
    return Factor(value, name_of(Cell(cell.layer, cell.array, what, cell.index), trace.model, trace.count))


def _sgd(optimizer: SGD, g: float, lr: float, velocity: float) -> tuple[float, float, list[Step]]:
    """Return the change, its derivative with respect to g, and the steps, the last of which is the change."""
    mu = optimizer.momentum
    if not mu:
        return -lr * g, -lr, [Step("step", "-learning rate * gradient", -lr * g)]
    new = mu * velocity + g
    steps = [Step("velocity before", "", velocity), Step("velocity", f"{mu:g} * velocity before + gradient", new)]
    if optimizer.nesterov:
        formula = f"-learning rate * (gradient + {mu:g} * velocity)"
        change = -lr * (g + mu * new)
        return change, -lr * (1 + mu), [*steps, Step("step", formula, change)]
    return -lr * new, -lr, [*steps, Step("step", "-learning rate * velocity", -lr * new)]


def _adam(optimizer: Adam, g: float, lr: float, m: float, v: float) -> tuple[float, float, list[Step]]:
    """Like `_sgd`."""
    (beta1, beta2), eps, t = optimizer.betas, optimizer.eps, optimizer.step_count + 1
    new_m, new_v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g
    bias1, bias2 = 1 - beta1**t, 1 - beta2**t
    m_hat, v_hat = new_m / bias1, new_v / bias2
    root = math.sqrt(v_hat)
    change = -lr * m_hat / (root + eps) if root + eps else 0.0
    slope = 0.0
    if root + eps:
        slope = -lr * (1 - beta1) / bias1 / (root + eps)
        if root:
            slope += lr * m_hat / (root + eps) ** 2 * (1 - beta2) / bias2 * g / root
    steps = [
        Step("m before, v before", "first moment, second moment", m),
        Step("m", f"{beta1:g} * m before + {1 - beta1:g} * gradient", new_m),
        Step("v", f"{beta2:g} * v before + {1 - beta2:g} * gradient^2", new_v),
        Step("m corrected", f"m / (1 - {beta1:g}^{t})", m_hat),
        Step("v corrected", f"v / (1 - {beta2:g}^{t})", v_hat),
    ]
    steps[:1] = [Step("m before", "first moment", m), Step("v before", "second moment", v)]
    formula = f"-learning rate * m corrected / (sqrt(v corrected) + {eps:g})"
    return change, slope, [*steps, Step("step", formula, change)]


def _muon(trace: Trace, cell: Cell, optimizer: Muon) -> Account:
    """Explain the change of a weight whose step is made orthogonal: a mixture of one row of the gradients' mean."""
    layer = trace.model.layers[cell.layer]
    full, w = f"{layer.name}.{cell.array}", layer.parameters[cell.array]
    lr, beta = optimizer.lr * layer.lr_factor, optimizer.betas[0]
    limit = optimizer.clip_norm
    gradients = trace.gradients if limit is None else clip_by_norm(trace.gradients, clip_norm=limit)[0]
    before = optimizer.state["m"].get(full, np.zeros_like(w))
    share = (1 - beta) * gradients[full]
    mean = beta * before + share
    ahead = (beta * mean + share).reshape(-1, w.shape[-1])
    row, column = np.unravel_index(np.ravel_multi_index(cell.index, w.shape), ahead.shape)
    weight = _factor(trace, cell, VALUE, float(w[cell.index]))
    decay = optimizer.weight_decay if optimizer.decays(w) else 0.0
    terms = [Term((weight, Factor(-lr * decay, name=f"-learning rate * {decay:g}")))] if decay else []
    if ahead.any():
        is_wide = ahead.shape[0] < ahead.shape[1]  # then the rows are mixed
        x, mixing = factors(ahead.T if is_wide else ahead)
        one, other = (column, row) if is_wide else (row, column)
        rate = Factor(-lr * length(ahead.shape), name=f"-learning rate * {length(ahead.shape):g}")
        for place, (value, share_of) in enumerate(zip(x[one], mixing[:, other], strict=True)):
            at = np.unravel_index(
                np.ravel_multi_index((place, column) if is_wide else (row, place), ahead.shape), w.shape
            )
            name = f"look-ahead[{','.join(str(int(i)) for i in at)}] / norm"
            terms.append(Term((Factor(float(value), name=name), Factor(float(share_of), name="mixing"), rate)))
    after = float(w[cell.index]) + float(trace.updates[full][cell.index])
    grain = float(np.finfo(w.dtype).eps) * abs(float(w[cell.index]))
    steps = (
        Step(
            "gradient",
            name_of(Cell(cell.layer, cell.array, GRAD, cell.index), trace.model, trace.count),
            float(gradients[full][cell.index]),
        ),
        Step(
            "learning rate", "" if layer.lr_factor == 1 else f"{optimizer.lr:g} * {layer.lr_factor:g} of the layer", lr
        ),
        Step("m before", "first moment", float(before[cell.index])),
        Step("m", f"{beta:g} * m before + {1 - beta:g} * gradient", float(mean[cell.index])),
        Step("look-ahead", f"{beta:g} * m + {1 - beta:g} * gradient", float(ahead[row, column])),
    )
    return Account(
        f"update {optimizer.step_count + 1} of {optimizer.rule}",
        tuple(terms),
        steps=steps,
        notes=(
            (
                "mixing makes the matrix of all look-aheads of this layer orthogonal, one row for each number under "
                "the window and one column for each output"
            ),
            f"weight before {weight.value:.9g}, after {after:.9g}; adjacent floats there are {grain:.1g} apart",
        ),
        roundings=12,
        grain=grain,
    )


def _rmsprop(optimizer: RMSprop, g: float, lr: float, square: float) -> tuple[float, float, list[Step]]:
    """Like `_sgd`."""
    alpha, eps = optimizer.alpha, optimizer.eps
    new = alpha * square + (1 - alpha) * g * g
    root = math.sqrt(new)
    change = -lr * g / (root + eps) if root + eps else 0.0
    slope = 0.0
    if root + eps:
        slope = -lr / (root + eps)
        if root:
            slope += lr * g / (root + eps) ** 2 * (1 - alpha) * g / root
    steps = [
        Step("square before", "mean of the squared gradient", square),
        Step("square", f"{alpha:g} * square before + {1 - alpha:g} * gradient^2", new),
        Step("step", f"-learning rate * gradient / (sqrt(square) + {eps:g})", change),
    ]
    return change, slope, steps
