"""The contents of a ledger's picture: maps, windows and entries."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np

from rot180.inside.explain.account import EXPLAINERS
from rot180.inside.explain.cells import GRAD, UPDATE, VALUE, Cell, edges, read_cell
from rot180.inside.explain.ledger import Ledger
from rot180.inside.explain.text import lay_out
from rot180.inside.explain.trace import Trace
from rot180.inside.explain.view import View
from rot180.nn.batch_norm import BatchNorm2d
from rot180.nn.conv2d import Conv2d
from rot180.nn.conv_transpose2d import ConvTranspose2d
from rot180.nn.global_pooling import AdaptiveAvgPool2d
from rot180.nn.graph import INPUT
from rot180.nn.group_norm import GroupNorm, InstanceNorm2d, LayerNorm
from rot180.nn.upsample import Upsample
from rot180.ops.geometry import Geometry
from rot180.ops.types import Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from rot180.pictures.explain import Panel

Mark = tuple[int, int, int, int]
"""(top, left, height, width)"""


def picture(ledger: Ledger, trace: Trace) -> Figure:
    """Draw a ledger: the image with the number's receptive field, window, kernel and map, and the largest entries.

    Of several channels, the one with the largest entry is drawn.
    """
    from rot180.pictures.explain import ledger_picture

    layout = lay_out(ledger, shown=10)
    scale = 10.0**layout.decimals
    bars = [(line.says, line.units / scale) for line in layout.lines]
    footer = f"sum {layout.amount(layout.total)}, stored {layout.amount(layout.stored)}"
    return ledger_picture(f"{ledger.cell} = {ledger.stored:.9g}", panels(ledger, trace), bars, footer)


def panels(ledger: Ledger, trace: Trace) -> list[Panel]:
    """Return the panels above the entries; none for numbers outside feature maps."""
    from rot180.pictures.explain import Panel

    cell = read_cell(ledger.cell, trace.model, trace.count)
    layers = trace.model.layers
    if cell.array == "output" and cell.what == VALUE and len(cell.index) == 4:
        top = _image(trace, cell, Panel)
        return [*top, *(_forward(trace, cell, ledger, Panel) if cell.layer >= 0 else [])]
    if (cell.array == "output" or cell.slot is not None) and cell.what == GRAD and len(cell.index) == 4:
        return _gradient(trace, cell, ledger, Panel)
    if cell.array == "weight" and cell.what in (GRAD, UPDATE) and isinstance(layers[cell.layer], Conv2d):
        return _weight(trace, cell, ledger, Panel)
    return []


def _window(g: Geometry, i: int, j: int) -> Mark:
    reach = [d * (k - 1) + 1 for d, k in zip(g.dilation, g.kernel, strict=True)]
    return i * g.stride[0] - g.padding[0][0], j * g.stride[1] - g.padding[1][0], reach[0], reach[1]


def _geometry(trace: Trace, place: int) -> Geometry | None:
    layer = trace.model.layers[place]
    return None if layer.is_join else layer.geometry(trace.input(place).shape[1:])


def _receptive_field(trace: Trace, cell: Cell) -> Mark:
    """Return the part of the image that can influence a cell of a map: the union over all paths."""
    _, i, j, _ = cell.index
    height, width = trace.x.shape[1:3]
    nodes = trace.model.nodes
    found: dict[int, tuple[int, int, int, int]] = {cell.layer: (i, j, i, j)}  # top, left, bottom, right, by place
    for place in range(cell.layer, -1, -1):
        if place not in found:
            continue
        seen = _seen(trace, place, found[place])
        for slot, source in enumerate(nodes[place].reads):
            if seen is None or trace.input(place, slot).shape[1:3] != trace.input(place).shape[1:3]:
                shape = trace.input(place, slot).shape  # the layer sees all of it
                part = (0, 0, shape[1] - 1, shape[2] - 1) if len(shape) == 4 else (0, 0, 0, 0)
            else:
                part = seen
            if source in found:
                top, left, bottom, right = found[source]
                part = min(top, part[0]), min(left, part[1]), max(bottom, part[2]), max(right, part[3])
            found[source] = part
    top, left, bottom, right = found[INPUT]
    top, left, bottom, right = max(top, 0), max(left, 0), min(bottom, height - 1), min(right, width - 1)
    return top, left, bottom - top + 1, right - left + 1


def _seen(trace: Trace, place: int, part: tuple[int, int, int, int]) -> tuple[int, int, int, int] | None:
    """Return the part of a layer's input that part of its output depends on; None if it is all of it."""
    layer, g = trace.model.layers[place], _geometry(trace, place)
    top, left, bottom, right = part
    if g is not None and trace.outputs[place].ndim == 4:
        first, last = _window(g, top, left), _window(g, bottom, right)
        return first[0], first[1], last[0] + last[2] - 1, last[1] + last[3] - 1
    if isinstance(layer, (ConvTranspose2d, Upsample, AdaptiveAvgPool2d)):
        return _enlarged(trace, place, part)
    normalizes = isinstance(layer, (GroupNorm, InstanceNorm2d, LayerNorm, BatchNorm2d))
    if normalizes and (not isinstance(layer, LayerNorm) or layer.axes > 1):
        is_constant = isinstance(layer, BatchNorm2d) and not trace.saved[place].of_batch
        return part if is_constant else None
    return part if trace.outputs[place].ndim == 4 else None


def _enlarged(trace: Trace, place: int, part: tuple[int, int, int, int]) -> tuple[int, int, int, int] | None:
    """Return the pixels behind part of a map whose size changed, from the ledgers of its corners."""
    top, left, bottom, right = part
    view = View(trace, place)
    height, width = trace.outputs[place].shape[1:3]
    rows, columns = [], []
    for i, j in ((max(top, 0), max(left, 0)), (min(bottom, height - 1), min(right, width - 1))):
        account = EXPLAINERS[type(view.layer)][0](view, (0, i, j, 0))
        cells = [read_cell(t.factors[0].cell, trace.model, trace.count) for t in account.terms if not t.pinned]
        rows += [cell.index[1] for cell in cells]
        columns += [cell.index[2] for cell in cells]
    return (min(rows), min(columns), max(rows), max(columns)) if rows else None


def _image(trace: Trace, cell: Cell, panel: type[Panel]) -> list[Panel]:
    image = trace.images[cell.index[0]]
    return [panel("image", image.mean(axis=2), [_receptive_field(trace, cell)], is_image=True)]


def _largest(ledger: Ledger, trace: Trace) -> list[Cell]:
    """Return the cells of the largest entry."""
    terms = [term for term in ledger.terms if not term.pinned and len(term.factors) > 0]
    if not terms:
        return []
    best = max(terms, key=lambda term: abs(term.value))
    return [read_cell(f.cell, trace.model, trace.count) for f in best.factors if f.cell]


def _forward(trace: Trace, cell: Cell, ledger: Ledger, panel: type[Panel]) -> list[Panel]:
    n, i, j, f = cell.index
    layer = trace.model.layers[cell.layer]
    g = _geometry(trace, cell.layer)
    found: list[Panel] = []
    chosen = _largest(ledger, trace)
    c = chosen[0].index[3] if chosen and len(chosen[0].index) == 4 else f
    x = trace.input(cell.layer)
    if x.ndim == 4 and not layer.is_join and c < x.shape[3]:
        marks: list[Mark] = (
            [_window(g, i, j)] if g else [(i, j, 1, 1)] if x.shape[1:3] == trace.outputs[cell.layer].shape[1:3] else []
        )
        if cell.layer or trace.x.shape[3] > 1 or isinstance(layer, Conv2d):
            found.append(panel(f"input of {layer.name}, channel {c}", x[n, :, :, c], marks))
    if layer.is_join:
        for term in ledger.terms:
            source = read_cell(term.factors[0].cell, trace.model, trace.count)
            if len(source.index) == 4:
                name = term.factors[0].cell.split("[")[0]
                maps = trace.x if source.layer < 0 else trace.outputs[source.layer]
                channel = source.index[3]
                found.append(panel(f"{name}, channel {channel}", maps[n, :, :, channel], [(i, j, 1, 1)]))
    if isinstance(layer, Conv2d):
        channels, filters = layer.weight.shape[2:]
        own = c - f // (filters // layer.groups) * channels
        kernel = layer.weight[:, :, own, f]
        if g is not None and chosen:
            found.append(panel(f"kernel of filter {f}, channel {c}", kernel))
            products = _products(x[n, :, :, c], kernel, g, i, j)
            found.append(panel(f"window * kernel, channel {c}", products))
    return [*found, panel(f"output of {layer.name}, map {f}", trace.outputs[cell.layer][n, :, :, f], [(i, j, 1, 1)])]


def _products(x: Array, kernel: Array, g: Geometry, i: int, j: int) -> Array:
    padded = np.pad(x, g.padding)
    (s_row, s_column), (d_row, d_column), (kh, kw) = g.stride, g.dilation, g.kernel
    rows, columns = i * s_row + d_row * np.arange(kh), j * s_column + d_column * np.arange(kw)
    products: Array = padded[np.ix_(rows, columns)] * kernel
    return products


def _gradient(trace: Trace, cell: Cell, ledger: Ledger, panel: type[Panel]) -> list[Panel]:
    """Return the gradient of an output: as its only reader computes it, or the sum over several readers."""
    if cell.slot is not None:
        return _backward(trace, cell, ledger, panel, cell.layer, cell.slot)
    readers = edges(trace.model, cell.layer)
    if len(readers) == 1:
        return _backward(trace, cell, ledger, panel, *readers[0])
    if not readers:
        return []
    n, p, q, c = cell.index
    found = [
        panel(
            f"passed back by {trace.model.layers[reader].name}",
            trace.contributions[reader][slot][n, :, :, c],
            [(p, q, 1, 1)],
        )
        for reader, slot in reversed(readers)
    ]
    return [*found, panel(f"their sum, channel {c}", trace.deltas[cell.layer + 1][n, :, :, c], [(p, q, 1, 1)])]


def _backward(trace: Trace, cell: Cell, ledger: Ledger, panel: type[Panel], above: int, slot: int) -> list[Panel]:
    """Return delta of the layer above with the windows that read the pixel, the rotated kernel, and dx."""
    n, p, q, c = cell.index
    layer = trace.model.layers[above]
    delta, dx = trace.deltas[above + 1], trace.contributions[above][slot]
    found: list[Panel] = []
    chosen = _largest(ledger, trace)
    if delta.ndim == 4:
        sources = [
            read_cell(factor.cell, trace.model, trace.count)
            for t in ledger.terms
            for factor in t.factors[:1]
            if factor.cell
        ]
        sources = [source for source in sources if source.layer == above and source.array == "output"]
        f = chosen[0].index[3] if chosen and len(chosen[0].index) == 4 else sources[0].index[3] if sources else 0
        rows = [source.index[1] for source in sources if source.index[3] == f]
        columns = [source.index[2] for source in sources if source.index[3] == f]
        marks: list[Mark] = []
        if rows:
            marks = [(min(rows), min(columns), max(rows) - min(rows) + 1, max(columns) - min(columns) + 1)]
        found.append(panel(f"delta of {layer.name}, map {f}", delta[n, :, :, f], marks))
        if isinstance(layer, Conv2d) and chosen:
            u, v, own, _ = chosen[1].index
            kh, kw = layer.kernel_size
            rotated = layer.weight[::-1, ::-1, own, f]
            mark = (kh - 1 - u, kw - 1 - v, 1, 1)
            found.append(panel(f"kernel {own} to {f}, rotated by 180 degrees", rotated, [mark]))
    name = f"gradient of {layer.name}'s input, channel {c}"
    return [*found, panel(name, dx[n, :, :, c], [(p, q, 1, 1)])]


def _weight(trace: Trace, cell: Cell, ledger: Ledger, panel: type[Panel]) -> list[Panel]:
    """Return the input with all pixels that the weight multiplied, delta, and the gradient of the kernel."""
    u, v, c, f = cell.index
    layer = cast(Conv2d, trace.model.layers[cell.layer])
    full = f"{layer.name}.weight"
    channels, filters = layer.weight.shape[2:]
    channel = f // (filters // layer.groups) * channels + c
    g = cast(Geometry, _geometry(trace, cell.layer))
    top, left = u * g.dilation[0] - g.padding[0][0], v * g.dilation[1] - g.padding[1][0]
    met = (top, left, (g.out_height - 1) * g.stride[0] + 1, (g.out_width - 1) * g.stride[1] + 1)
    x = trace.input(cell.layer)[0, :, :, channel]
    found = [
        panel(f"input of {layer.name}, channel {channel}: the weight's pixels", x, [met]),
        panel(f"delta of {layer.name}, map {f}", trace.deltas[cell.layer + 1][0, :, :, f]),
        panel(f"gradient of kernel {c} to {f}", trace.gradients[full][:, :, c, f], [(u, v, 1, 1)]),
    ]  # fmt: skip
    if cell.what == UPDATE:
        return [
            panel(f"kernel {c} to {f}", layer.weight[:, :, c, f], [(u, v, 1, 1)]),
            found[2],
            panel("its update", trace.updates[full][:, :, c, f], [(u, v, 1, 1)]),
        ]
    return found
