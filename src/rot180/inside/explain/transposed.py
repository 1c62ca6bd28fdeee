"""Ledgers of transposed convolution: a convolution whose passes have changed places."""

from __future__ import annotations

from typing import cast

from rot180.inside.explain.convolution import windows
from rot180.inside.explain.ledger import Account, Term
from rot180.inside.explain.tiles import as_computed
from rot180.inside.explain.view import Index, View
from rot180.nn.conv_transpose2d import ConvTranspose2d
from rot180.ops.geometry import Geometry, geometry


def _layer(view: View) -> ConvTranspose2d:
    return cast(ConvTranspose2d, view.layer)


def _reached(view: View, i: int, j: int, u: int, v: int) -> tuple[int, int] | None:
    """Return the output pixel that tap (u, v) of input pixel (i, j) is added to; None if it is cropped."""
    layer = _layer(view)
    row = i * layer.stride[0] + u * layer.dilation[0] - layer.padding[0]
    column = j * layer.stride[1] + v * layer.dilation[1] - layer.padding[1]
    return (row, column) if 0 <= row < view.y.shape[1] and 0 <= column < view.y.shape[2] else None


def _turned(view: View) -> Geometry:
    """Return the geometry of the convolution whose data gradient the layer is: from its output to its input."""
    layer, (height, width) = _layer(view), view.y.shape[1:3]
    rows, columns = layer.padding
    return geometry(
        height,
        width,
        layer.kernel_size,
        stride=layer.stride,
        padding=((rows, rows), (columns, columns)),
        dilation=layer.dilation,
    )


def _channels(view: View, group: int) -> range:
    wide = view.x.shape[3] // _layer(view).groups
    return range(group * wide, (group + 1) * wide)


def output(view: View, index: Index) -> Account:
    """y[p, q, f] = b[f] + sum of x[i, j, c] * w[u, v, f, c] over the pixels that reach (p, q)."""
    layer = _layer(view)
    n, p, q, f = index
    group, own = divmod(f, layer.out_channels // layer.groups)
    rows, columns = (
        windows(at + cut, k, s, d, size)
        for at, cut, k, s, d, size in zip(
            (p, q), layer.padding, layer.kernel_size, layer.stride, layer.dilation, view.x.shape[1:3], strict=True
        )
    )
    terms = [
        Term((view.input((n, i, j, c)), view.parameter("weight", (u, v, own, c))))
        for i, u in rows
        for j, v in columns
        for c in _channels(view, group)
    ]
    count, pixels = len(terms), len(rows) * len(columns)
    if "bias" in layer.parameters:
        terms.append(Term((view.parameter("bias", (f,)),), pinned=True))
    account = Account(
        f"transposed convolution: the {pixels} pixels whose spread kernel reaches this one, {count} products"
        + (", and the bias" if layer.bias else ""),
        tuple(terms),
        notes=() if count else ("no pixel reaches this one",),
    )
    x, weight = view.x[n : n + 1], layer.weight[:, :, own : own + 1]
    return as_computed(account, layer, "data_gradient", x, weight, (0, p, q, 0), _turned(view))


def input_grad(view: View, index: Index) -> Account:
    """dx[i, j, c] = sum of dy * w over the window that the pixel was spread over: a convolution."""
    layer = _layer(view)
    n, i, j, c = index
    filters = layer.out_channels // layer.groups
    first = c // (view.x.shape[3] // layer.groups) * filters
    terms, cropped = [], 0
    for u in range(layer.kernel_size[0]):
        for v in range(layer.kernel_size[1]):
            pixel = _reached(view, i, j, u, v)
            if pixel is None:
                cropped += filters
                continue
            terms += [
                Term((view.delta((n, *pixel, first + f)), view.parameter("weight", (u, v, f, c))))
                for f in range(filters)
            ]
    account = Account(
        f"data gradient of a transposed convolution: a convolution of delta, {len(terms)} products",
        tuple(terms),
        notes=(f"{cropped} more products fall outside the output, which is cropped",) if cropped else (),
    )
    dy, weight = view.dy[n : n + 1], layer.weight[..., c : c + 1]
    return as_computed(account, layer, "forward", dy, weight, (0, i, j, 0), _turned(view))


def parameter_grad(view: View, name: str, index: Index) -> Account:
    """dw[u, v, f, c] = sum of x[i, j, c] * dy[the pixel that tap (u, v) reaches]; db[f] = sum of dy."""
    layer = _layer(view)
    images = range(len(view.x))
    if name == "bias":
        height, width = view.y.shape[1:3]
        places = [(n, i, j, *index) for n in images for i in range(height) for j in range(width)]
        return Account(
            f"bias gradient: delta summed over {len(places)} outputs",
            tuple(Term((view.delta(place),)) for place in places),
        )
    u, v, own, c = index
    f = c // (view.x.shape[3] // layer.groups) * (layer.out_channels // layer.groups) + own
    terms = []
    for n in images:
        for i in range(view.x.shape[1]):
            for j in range(view.x.shape[2]):
                pixel = _reached(view, i, j, u, v)
                if pixel is not None:
                    terms.append(Term((view.delta((n, *pixel, f)), view.input((n, i, j, c)))))
    account = Account(
        f"weight gradient: delta of map {f} at the pixel that each input pixel reaches through this weight: "
        f"{len(terms)} products",
        tuple(terms),
    )
    x, dy = view.x[..., c : c + 1], view.dy[..., f : f + 1]
    return as_computed(account, layer, "weight_gradient", x, dy, (u, v, 0, 0), _turned(view))
