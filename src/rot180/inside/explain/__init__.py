"""Explain where one number comes from: every product in its sum, and whether they add up.

    >>> import numpy as np, rot180
    >>> model = rot180.network("8x8x1 > conv3x3:2:same relu maxpool2 > fc10").build(seed=0)
    >>> image = np.arange(64, dtype=np.uint8).reshape(8, 8, 1)
    >>> ledger = explain(model, image, "conv1.output[0,5,1]")
    >>> len(ledger.terms), ledger.adds_up  # six pixels and the bias; three taps fall on the padding
    (7, True)

A number is written as `LAYER.ARRAY[INDEX]`: `conv2.output[3,5,17]`, `conv2.input.grad[3,5,0]`,
`conv1.weight.grad[2,2,0,7]`, `conv1.weight.update[2,2,0,7]`, `output.probability[7]`, `loss`. The sources in an answer
are written in the same form, so they can be explained next.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rot180.inside.explain.account import explain_cell, way
from rot180.inside.explain.cells import read_cell
from rot180.inside.explain.ledger import Account, Factor, Ledger, Step, Term
from rot180.inside.explain.text import markdown, text
from rot180.inside.explain.trace import Trace
from rot180.nn.network import Network

__all__ = [
    "Account",
    "Factor",
    "Ledger",
    "Step",
    "Term",
    "Trace",
    "explain",
    "explain_in",
    "markdown",
    "text",
    "way",
]


def explain(model: Network, images: Any, at: str, labels: Any = None, **options: Any) -> Ledger:
    """Explain one number of a network.

    Parameters
    ----------
    model : Network
        A built network.
    images : (H, W, C), (H, W) or (N, H, W, C)
        Images as in the data, before preprocessing.
    at : str
        The number to explain; the module's docstring gives the forms.
    labels : int or (N,), optional
        The labels that the loss compares with; the most likely class by default.
    **options
        As in `Trace`: loss, optimizer, training, seed.

    Returns
    -------
    Ledger
        The terms, their sum, the stored value, and the largest difference due to rounding alone.

    Raises
    ------
    ArgumentError
        The number does not exist, or the layer's type is not in the registry.
    ShapeError
        The index or the image does not fit.

    Examples
    --------
    >>> import numpy as np, rot180
    >>> model = rot180.network("2x2x1 > fc2").build(seed=0)
    >>> ledger = explain(model, np.ones((2, 2)), "fc1.weight.grad[3,0]", labels=0)
    >>> sorted(ledger.sources)
    ['fc1.output.grad[0]', 'flatten1.output[3]']
    """
    return explain_in(Trace(model, images, labels, **options), at)


def explain_in(trace: Trace, at: str) -> Ledger:
    """Explain one number of a given pass; like `explain`, for several questions about the same pass."""
    ledger = explain_cell(trace, read_cell(at, trace.model, trace.count))
    asked = "".join(at.split())
    if asked == ledger.cell:
        return ledger
    account = replace(ledger.account, notes=(f"the same number as {ledger.cell}", *ledger.account.notes))
    return replace(ledger, cell=asked, account=account)
