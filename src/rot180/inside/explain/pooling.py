"""Ledgers of pooling: the maximum of a window, or its mean, and the gradients."""

from __future__ import annotations

from typing import cast

from rot180.inside.explain.ledger import Account, Factor, Step, Term
from rot180.inside.explain.view import Index, View
from rot180.nn.pooling import AvgPool2d
from rot180.ops.geometry import Geometry
from rot180.ops.pooling import counted_pixels


def _geometry(view: View) -> Geometry:
    return cast(Geometry, view.layer.geometry(view.x.shape[1:]))


def _pixels(g: Geometry, i: int, j: int) -> list[tuple[int, int, int]]:
    """Return (position in the window, row, column) of the pixels of a window, without padding."""
    found = []
    for u in range(g.kernel[0]):
        for v in range(g.kernel[1]):
            row, column = i * g.stride[0] + u - g.padding[0][0], j * g.stride[1] + v - g.padding[1][0]
            if 0 <= row < g.height and 0 <= column < g.width:
                found.append((u * g.kernel[1] + v, row, column))
    return found


def _windows(g: Geometry, p: int, q: int) -> list[tuple[int, int, int]]:
    """Return (i, j, position in the window) of the windows that contain a pixel."""
    p, q = p + g.padding[0][0], q + g.padding[1][0]
    return [
        (i, j, (p - i * g.stride[0]) * g.kernel[1] + q - j * g.stride[1])
        for i in range(max(0, -(-(p - g.kernel[0] + 1) // g.stride[0])), min(p // g.stride[0] + 1, g.out_height))
        for j in range(max(0, -(-(q - g.kernel[1] + 1) // g.stride[1])), min(q // g.stride[1] + 1, g.out_width))
    ]


def max_output(view: View, index: Index) -> Account:
    """The largest of the window."""
    n, i, j, c = index
    winners, _ = view.saved
    pixels = _pixels(_geometry(view), i, j)
    won = next((row, column) for place, row, column in pixels if place == winners[index])
    source = view.input((n, *won, c))
    window = [view.input((n, row, column, c)) for _, row, column in pixels]
    tied = sum(factor.value == source.value for factor in window)
    return Account(
        f"max pooling: the largest of {len(pixels)}",
        (Term((source,)),),
        steps=tuple(Step(factor.cell, "wins" if factor.cell == source.cell else "", factor.value) for factor in window),
        notes=(f"{tied} are equally large; the first in row-major order wins",) if tied > 1 else (),
        passage=(f"largest of {len(pixels)}", source.cell),
    )


def max_input_grad(view: View, index: Index) -> Account:
    """Delta of the windows whose maximum is this pixel."""
    n, p, q, c = index
    winners, _ = view.saved
    terms = tuple(
        Term((view.delta((n, i, j, c)), Factor(float(winners[n, i, j, c] == place), name="won")))
        for i, j, place in _windows(_geometry(view), p, q)
    )
    won = [term for term in terms if term.factors[1].value]
    passage = None
    if len(won) <= 1:
        passage = ("won its window", won[0].factors[0].cell) if won else ("won no window", "")
    return Account(
        f"max pooling backward: delta of the windows whose maximum is this pixel, {len(won)} of {len(terms)}",
        terms,
        passage=passage,
    )


def _share(view: View, g: Geometry, i: int, j: int) -> Factor:
    layer = cast(AvgPool2d, view.layer)
    pixels = int(counted_pixels(g, layer.count_include_pad)[i, j, 0])
    return Factor(1 / pixels, name=f"1/{pixels}")


def avg_output(view: View, index: Index) -> Account:
    """The mean of the window."""
    n, i, j, c = index
    g = _geometry(view)
    share = _share(view, g, i, j)
    terms = tuple(Term((view.input((n, row, column, c)), share)) for _, row, column in _pixels(g, i, j))
    return Account(f"average pooling: each of {len(terms)} pixels times {share.name}", terms, roundings=1)


def avg_input_grad(view: View, index: Index) -> Account:
    """An equal share of the delta of each window."""
    n, p, q, c = index
    g = _geometry(view)
    terms = tuple(Term((view.delta((n, i, j, c)), _share(view, g, i, j))) for i, j, _ in _windows(g, p, q))
    return Account(f"average pooling backward: an equal share of delta from {len(terms)} windows", terms, roundings=1)
