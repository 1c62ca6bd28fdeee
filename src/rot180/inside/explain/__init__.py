"""Where one number comes from: every product that was summed, and whether it adds up.

    >>> import numpy as np, rot180
    >>> model = rot180.network("8x8x1 > conv3x3:2:same relu maxpool2 > fc10").build(seed=0)
    >>> image = np.arange(64, dtype=np.uint8).reshape(8, 8, 1)
    >>> ledger = explain(model, image, "conv1.output[0,5,1]")
    >>> len(ledger.terms), ledger.adds_up  # six pixels and the bias; three taps fall on the padding
    (7, True)

A number is asked for as `LAYER.ARRAY[INDEX]`: `conv2.output[3,5,17]`, `conv2.input.grad[3,5,0]`,
`conv1.weight.grad[2,2,0,7]`, `conv1.weight.update[2,2,0,7]`, `output.probability[7]`, `loss`. The sources of an answer
are written so that one can ask for them next.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rot180.inside.explain.account import explain_cell, way
from rot180.inside.explain.cells import read_cell
from rot180.inside.explain.ledger import Account, Factor, Ledger, Step, Term
from rot180.inside.explain.text import markdown, text
from rot180.inside.explain.trace import Trace
from rot180.nn.sequential import Sequential

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


def explain(model: Sequential, images: Any, at: str, labels: Any = None, **options: Any) -> Ledger:
    """Take one number of a network apart.

    Parameters
    ----------
    model : Sequential
        Built.
    images : (H, W, C), (H, W) or (N, H, W, C)
        As they come from the data.
    at : str
        Which number; the module's text gives the forms.
    labels : int or (N,), optional
        What the loss compares with; the likeliest class by default.
    **options
        As in `Trace`: loss, optimizer, training, seed.

    Returns
    -------
    Ledger
        Its terms, their sum, the stored value, and the difference that rounding alone may make.

    Raises
    ------
    ArgumentError
        There is no such number, or the layer is not one of the registry.
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
    """Take one number of a pass apart; as `explain`, for many questions about one pass."""
    ledger = explain_cell(trace, read_cell(at, trace.model, trace.count))
    asked = "".join(at.split())
    if asked == ledger.cell:
        return ledger
    account = replace(ledger.account, notes=(f"the same number as {ledger.cell}", *ledger.account.notes))
    return replace(ledger, cell=asked, account=account)
