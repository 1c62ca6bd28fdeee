"""Ledgers of the fully connected layer: the sums of `rot180.ops.linear`, product by product."""

from __future__ import annotations

from rot180.inside.explain.ledger import Account, Term
from rot180.inside.explain.view import Index, View


def output(view: View, index: Index) -> Account:
    """y[k] = b[k] + sum of x[i] * w[i, k]."""
    n, k = index
    terms = [Term((view.input((n, i)), view.parameter("weight", (i, k)))) for i in range(view.x.shape[1])]
    count = len(terms)
    if "bias" in view.layer.parameters:
        terms.append(Term((view.parameter("bias", (k,)),), pinned=True))
        return Account(f"fully connected: input times weight, {count} products, and the bias", tuple(terms))
    return Account(f"fully connected: input times weight, {count} products", tuple(terms))


def input_grad(view: View, index: Index) -> Account:
    """dx[i] = sum of dy[k] * w[i, k]."""
    n, i = index
    terms = tuple(Term((view.delta((n, k)), view.parameter("weight", (i, k)))) for k in range(view.y.shape[1]))
    return Account(
        f"data gradient: delta times the weight to each of {len(terms)} units",
        terms,
        notes=("the weight matrix is transposed",),
    )


def parameter_grad(view: View, name: str, index: Index) -> Account:
    """dw[i, k] = sum over images of x[i] * dy[k]; db[k] = sum of dy[k]."""
    images = range(len(view.x))
    if name == "bias":
        return Account(
            f"bias gradient: delta of unit {index[0]}, summed over the images",
            tuple(Term((view.delta((n, *index)),)) for n in images),
        )
    i, k = index
    return Account(
        "weight gradient: delta of the unit times the input of the weight, for each image",
        tuple(Term((view.delta((n, k)), view.input((n, i)))) for n in images),
    )
