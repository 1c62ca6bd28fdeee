"""Ledgers of global and adaptive pooling, and of interpolation: sums weighted by rows and by columns."""

from __future__ import annotations

import math

import numpy as np

from rot180.inside.explain.ledger import Account, Factor, Term
from rot180.inside.explain.view import Index, View
from rot180.nn.upsample import Upsample
from rot180.ops.resize import MODES, means
from rot180.ops.types import Array


def global_avg_output(view: View, index: Index) -> Account:
    """The mean of the map."""
    n, c = index
    share, pixels = _share(view), np.ndindex(view.x.shape[1:3])
    terms = tuple(Term((view.input((n, i, j, c)), share)) for i, j in pixels)
    return Account(f"global average pooling: each of {len(terms)} pixels times {share.name}", terms, roundings=1)


def global_avg_input_grad(view: View, index: Index) -> Account:
    """An equal share of the map's delta."""
    term = Term((view.delta((index[0], index[3])), _share(view)))
    return Account("global average pooling backward: an equal share of the map's delta", (term,), roundings=1)


def _share(view: View) -> Factor:
    pixels = math.prod(view.x.shape[1:3])
    return Factor(1 / pixels, name=f"1/{pixels}")


def global_max_output(view: View, index: Index) -> Account:
    """The largest of the map."""
    n, c = index
    place = view.saved[0][index]
    source = view.input((n, *map(int, divmod(place, view.x.shape[2])), c))
    pixels = math.prod(view.x.shape[1:3])
    tied = int((view.x[n, :, :, c] == source.value).sum())
    return Account(
        f"global max pooling: the largest of {pixels}",
        (Term((source,)),),
        notes=(f"{tied} are equally large; the first in row-major order wins",) if tied > 1 else (),
        passage=(f"largest of {pixels}", source.cell),
    )


def global_max_input_grad(view: View, index: Index) -> Account:
    """The map's delta, if this pixel is its maximum."""
    n, i, j, c = index
    won = bool(view.saved[0][n, c] == i * view.x.shape[2] + j)
    delta = view.delta((n, c))
    return Account(
        "global max pooling backward: delta goes to the largest pixel of the map",
        (Term((delta, Factor(float(won), name="won"))),),
        passage=("won its window", delta.cell) if won else ("won no window", ""),
    )


def _weights(view: View) -> tuple[Array, Array]:
    """Return the weights of rows and columns, (OH, H) and (OW, W)."""
    of = MODES[view.layer.mode] if isinstance(view.layer, Upsample) else means
    (height, width), (rows, columns) = view.x.shape[1:3], view.y.shape[1:3]
    return of(height, rows).astype(view.x.dtype), of(width, columns).astype(view.x.dtype)


def _says(view: View) -> str:
    if not isinstance(view.layer, Upsample):
        return "adaptive average pooling"
    return "enlarging by repetition" if view.layer.mode == "nearest" else "bilinear interpolation"


def resized_output(view: View, index: Index) -> Account:
    """The sum of pixels, each times the weight of its row and that of its column."""
    n, i, j, c = index
    rows, columns = _weights(view)
    terms = tuple(
        Term((view.input((n, int(p), int(q), c)), _weight(rows[i, p], columns[j, q])))
        for p in np.flatnonzero(rows[i])
        for q in np.flatnonzero(columns[j])
    )
    passage = None
    if len(terms) == 1:
        passage = ("the same number", terms[0].factors[0].cell)
    return Account(f"{_says(view)}: {len(terms)} pixels", terms, roundings=4, passage=passage)


def resized_input_grad(view: View, index: Index) -> Account:
    """Delta of the outputs that the pixel contributes to, with the same weights."""
    n, p, q, c = index
    rows, columns = _weights(view)
    terms = tuple(
        Term((view.delta((n, int(i), int(j), c)), _weight(rows[i, p], columns[j, q])))
        for i in np.flatnonzero(rows[:, p])
        for j in np.flatnonzero(columns[:, q])
    )
    return Account(
        f"{_says(view)}, backward: delta of the {len(terms)} outputs that the pixel contributes to, with the same "
        f"weights",
        terms,
        roundings=4,
    )


def _weight(row: float, column: float) -> Factor:
    value = float(row) * float(column)
    return Factor(value, name=f"{value:g}")
