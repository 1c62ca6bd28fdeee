"""Ledgers of the loss, of its gradient, and of the probabilities."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rot180.errors import ArgumentError
from rot180.inside.explain.activation import softmax_account
from rot180.inside.explain.cells import VALUE, Cell, name_of
from rot180.inside.explain.ledger import Account, Factor, Step, Term
from rot180.inside.explain.trace import Trace
from rot180.inside.explain.view import Index, View
from rot180.nn.activation import shares
from rot180.nn.loss import CrossEntropyLoss, SquaredErrorLoss
from rot180.ops.loss import image_weights
from rot180.ops.softmax import softmax
from rot180.ops.types import Array


def _outputs(trace: Trace, n: int) -> list[Factor]:
    view = View(trace, len(trace.model.layers) - 1)
    return [view.output((n, *k)) for k in np.ndindex(trace.outputs[-1].shape[1:])]


def _targets(trace: Trace) -> Array:
    """Return the target of each output, (N, K)."""
    target, shape = trace.target, trace.outputs[-1].shape
    if target.ndim == 1 and len(shape) == 2:
        one_hot = np.zeros(shape)
        one_hot[np.arange(len(target)), target] = 1.0
        target = one_hot
    if isinstance(trace.loss, CrossEntropyLoss) and trace.loss.label_smoothing:
        smoothing = trace.loss.label_smoothing
        target = (1 - smoothing) * target + smoothing / shape[1]
    return target.astype(np.float64)


def _image_weights(trace: Trace) -> list[float]:
    """Return the weight of each image in the loss: that of its class, or 1."""
    given = getattr(trace.loss, "class_weights", None)
    weights = image_weights(trace.outputs[-1], trace.target, given, "explain")
    return [1.0] * trace.count if weights is None else weights.tolist()


def probabilities(trace: Trace) -> Array:
    """Return the probabilities that `predict` gives, in the network's float type."""
    outputs, last = trace.outputs[-1], trace.model.layers[-1]
    if last.output_kind == "probabilities":
        return outputs
    if last.output_kind == "sigmoids":
        return shares(outputs, lambda rows: trace.input(len(trace.outputs) - 1)[rows])
    return softmax(outputs)


def probability(trace: Trace, index: Index) -> Account:
    """Explain a probability: softmax, or the output's share of the sum if the network ends in a sigmoid."""
    n, k = index
    sources = _outputs(trace, n)
    last = trace.model.layers[-1]
    if last.output_kind == "probabilities":
        return Account("the network ends in a softmax: the output is the probability", (Term((sources[k],)),))
    if last.output_kind == "logits":
        return softmax_account(sources, k)
    total = math.fsum(source.value for source in sources)
    if total == 0:
        raise ArgumentError(
            f"the outputs of image {n} are so small that they became 0, so their shares cannot be explained; "
            f"explain the input of the sigmoid instead"
        )
    share = sources[k].value / total
    term = Term(
        tuple(sources),
        amount=share,
        formula=f"{sources[k].cell} / sum",
        slopes=tuple(((i == k) - share) / total for i in range(len(sources))),
    )
    steps = (*(Step(source.cell, "", source.value) for source in sources), Step("sum of these", "", total))
    return Account("the output's share of the sum of all outputs", (term,), steps=steps, roundings=2 + len(sources))


def value(trace: Trace) -> Account:
    """Explain the loss."""
    _known(trace)
    targets, images, scale = _targets(trace), trace.count, _image_weights(trace)
    if isinstance(trace.loss, SquaredErrorLoss):
        terms = []
        for n in range(images):
            for y, t in zip(_outputs(trace, n), targets[n].ravel().tolist(), strict=True):
                off = y.value - t
                terms.append(
                    Term(
                        (y, Factor(t, name="target")),
                        amount=scale[n] * off * off / 2 / images,
                        formula=(f"{scale[n]:g} * " if scale[n] != 1 else "")
                        + "(y - target)^2 / 2"
                        + (f" / {images}" if images > 1 else ""),
                        slopes=(scale[n] * off / images, -scale[n] * off / images),
                    )
                )
        return Account("squared error: half the squared distance from the target", tuple(terms), roundings=3)
    entries: list[Term] = []
    steps: list[Step] = []
    grain = 0.0
    for n in range(images):
        sources = _outputs(trace, n)
        largest = max(source.value for source in sources)
        total = math.fsum(math.exp(source.value - largest) for source in sources)
        suffix = f" of image {n}" if images > 1 else ""
        steps += [
            Step(f"largest output{suffix}", "", largest),
            Step(f"log of the sum{suffix}", "sum of exp(output - largest)", math.log(total)),
        ]
        p = [math.exp(source.value - largest) / total for source in sources]
        for k, source in enumerate(sources):
            weight = scale[n] * float(targets[n, k]) / images
            if weight:
                amount = weight * (math.log(total) + largest - source.value)
                # If p is nearly 1, its logarithm is nearly 0, and the rounding error of the sum, 1, dominates.
                grain += weight * (len(sources) + abs(largest) + abs(source.value))
                entries.append(
                    Term(
                        tuple(sources),
                        amount=amount,
                        formula=f"{weight:g} * (log of the sum + largest - {source.cell})"
                        if weight != 1
                        else f"log of the sum + largest - {source.cell}",
                        slopes=tuple(weight * (p[i] - (i == k)) for i in range(len(p))),
                    )
                )
    epsilon = float(np.finfo(trace.outputs[-1].dtype).eps)
    return Account(
        "cross-entropy: minus the logarithm of the probability of the label", tuple(entries), tuple(steps),
        roundings=4, grain=epsilon * grain,
    )  # fmt: skip


def output_grad(trace: Trace, index: Index) -> Account:
    """Explain the gradient that backpropagation starts from: (p - t) / N, or (y - t) / N."""
    _known(trace)
    target = Factor(float(_targets(trace)[index]), name="target")
    share = Factor(1 / trace.count, name=f"1/{trace.count}")
    if isinstance(trace.loss, SquaredErrorLoss):
        source = View(trace, len(trace.model.layers) - 1).output(index)
        rule = "squared error backward: output minus target"
    else:
        cell = Cell(len(trace.model.layers) - 1, "probability", VALUE, index)
        source = Factor(float(probabilities(trace)[index]), name_of(cell, trace.model, trace.count))
        rule = "cross-entropy backward: probability minus target"
    if trace.count > 1:
        rule += ", divided by the number of images in the batch"
    minus = Factor(-1.0, name="-1")
    scale = _image_weights(trace)[index[0]]
    rest: tuple[Any, ...] = () if scale == 1 else (Factor(scale, name="class_weight"),)
    rest += () if trace.count == 1 else (share,)
    # The loss takes exp of a logarithm, whose error is epsilon times its magnitude.
    return Account(rule, (Term((source, *rest)), Term((target, minus, *rest))), roundings=8 + 16)


def _known(trace: Trace) -> None:
    if not isinstance(trace.loss, (CrossEntropyLoss, SquaredErrorLoss)):
        raise ArgumentError(f"explain supports cross_entropy and squared_error; the loss is {trace.loss!r}")
