"""Ledgers of a convolution: the sums of `rot180.ops.conv2d`, product by product."""

from __future__ import annotations

from typing import cast

from rot180.inside.explain.ledger import Account, Term
from rot180.inside.explain.tiles import as_computed
from rot180.inside.explain.view import Index, View
from rot180.nn.conv2d import Conv2d
from rot180.ops.geometry import Geometry


def _layer(view: View) -> tuple[Conv2d, Geometry]:
    layer = cast(Conv2d, view.layer)
    return layer, layer.geometry(view.x.shape[1:])


def _pixel(g: Geometry, i: int, j: int, u: int, v: int) -> tuple[int, int] | None:
    """Return the pixel that tap (u, v) of window (i, j) reads; None on the padding."""
    row = i * g.stride[0] + u * g.dilation[0] - g.padding[0][0]
    column = j * g.stride[1] + v * g.dilation[1] - g.padding[1][0]
    return (row, column) if 0 <= row < g.height and 0 <= column < g.width else None


def _taps(g: Geometry) -> list[tuple[int, int]]:
    return [(u, v) for u in range(g.kernel[0]) for v in range(g.kernel[1])]


def output(view: View, index: Index) -> Account:
    """y[i, j, f] = b[f] + sum of x[window] * w[tap]."""
    layer, g = _layer(view)
    n, i, j, f = index
    channels, filters = layer.weight.shape[2:]
    first = f // (filters // layer.groups) * channels
    terms, on_padding = [], 0
    for u, v in _taps(g):
        pixel = _pixel(g, i, j, u, v)
        if pixel is None:
            on_padding += channels
            continue
        terms += [
            Term((view.input((n, *pixel, first + c)), view.parameter("weight", (u, v, c, f)))) for c in range(channels)
        ]
    count = len(terms)
    if "bias" in layer.parameters:
        terms.append(Term((view.parameter("bias", (f,)),), pinned=True))
    kh, kw = g.kernel
    account = Account(
        f"convolution: window times kernel, {kh} x {kw}, {channels} channels: {count} products"
        + (", and the bias" if layer.bias else ""),
        tuple(terms),
        notes=(f"{on_padding} more products fall on the padding, which is zero",) if on_padding else (),
    )
    return as_computed(account, layer, "forward", view.x[n : n + 1], layer.weight[..., f : f + 1], (0, i, j, 0), g)


def input_grad(view: View, index: Index) -> Account:
    """dx[p, q, c] = sum of dy[i, j, f] * w[u, v, c, f] over the windows that read the pixel."""
    layer, g = _layer(view)
    n, p, q, c = index
    channels, filters = layer.weight.shape[2:]
    per_group = filters // layer.groups
    group, c_in_group = divmod(c, channels)
    rows = windows(p + g.padding[0][0], g.kernel[0], g.stride[0], g.dilation[0], g.out_height)
    columns = windows(q + g.padding[1][0], g.kernel[1], g.stride[1], g.dilation[1], g.out_width)
    terms = tuple(
        Term((view.delta((n, i, j, f)), view.parameter("weight", (u, v, c_in_group, f))))
        for i, u in rows
        for j, v in columns
        for f in range(group * per_group, (group + 1) * per_group)
    )
    notes = []
    if rows and columns and len(rows) * len(columns) > 1:
        start, stop = (rows[0][1], columns[0][1]), (rows[-1][1], columns[-1][1])
        notes.append(
            f"in the order of delta's window the weights are reversed, from [{start[0]},{start[1]}] to "
            f"[{stop[0]},{stop[1]}]: the kernel is rotated by 180 degrees"
        )
    if not terms:
        notes.append("no window reads this pixel")
    account = Account(
        f"data gradient: delta times the weight that each of {len(rows) * len(columns)} windows applied to the "
        f"pixel, {per_group} filters: {len(terms)} products",
        terms,
        notes=tuple(notes),
    )
    weight = layer.weight[:, :, c_in_group : c_in_group + 1]
    return as_computed(account, layer, "data_gradient", view.dy[n : n + 1], weight, (0, p, q, 0), g)


def windows(p: int, k: int, s: int, d: int, out: int) -> list[tuple[int, int]]:
    """Return the windows i that read padded pixel p, in increasing order, and the tap u that reads it."""
    found = [((p - u * d) // s, u) for u in range(k) if (p - u * d) % s == 0 and 0 <= (p - u * d) // s < out]
    return sorted(found)


def parameter_grad(view: View, name: str, index: Index) -> Account:
    """dw[u, v, c, f] = sum of dy[i, j, f] * x[the tap's pixel]; db[f] = sum of dy."""
    layer, g = _layer(view)
    images = range(len(view.x))
    outputs = [(n, i, j) for n in images for i in range(g.out_height) for j in range(g.out_width)]
    if name == "bias":
        terms = tuple(Term((view.delta((*place, *index)),)) for place in outputs)
        return Account(f"bias gradient: delta summed over {len(terms)} outputs", terms)
    u, v, c, f = index
    channels, filters = layer.weight.shape[2:]
    channel = f // (filters // layer.groups) * channels + c
    found = []
    for n, i, j in outputs:
        pixel = _pixel(g, i, j, u, v)
        if pixel is not None:
            found.append(Term((view.delta((n, i, j, f)), view.input((n, *pixel, channel)))))
    on_padding = len(outputs) - len(found)
    account = Account(
        f"weight gradient: delta of map {f} times the pixel that this weight multiplied: {len(found)} products",
        tuple(found),
        notes=(f"at {on_padding} more outputs it multiplied the padding, which is zero",) if on_padding else (),
    )
    dy, x = view.dy[..., f : f + 1], view.x[..., channel : channel + 1]
    return as_computed(account, layer, "weight_gradient", dy, x, (u, v, 0, 0), g)
