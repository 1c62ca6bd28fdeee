"""The kernels of one convolution."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from rot180.pictures.label import label
from rot180.pictures.mosaic import color_scale, mosaic, show_sheet, tile_centers
from rot180.pictures.style import new_figure, style


def kernels(weight: ArrayLike, name: str = "", *, limit: int = 16) -> Figure:
    """Draw the kernels of one convolution on one scale with white at zero.

    With one input channel the filters fill a grid in row order, at most `limit * limit / 2` of them. With several, a
    column is a filter and a row an input channel, at most `limit` of each. The title says what is shown of what.

    Parameters
    ----------
    weight : (KH, KW, C, F) array
        The weights, in any unit.
    name : str
        The layer's name, for the title.

    Examples
    --------
    >>> figure = kernels(np.random.default_rng(0).normal(size=(5, 5, 1, 32)), "conv1")
    >>> figure.axes[0].get_title(loc="left")
    'conv1: 32 kernels of 5 x 5'
    """
    weight = np.asarray(weight, dtype=np.float64)
    height, width, channels, filters = weight.shape
    cmap, norm = color_scale(weight, signed=True)  # of all kernels, so that what is shown can be compared with the rest
    with style():
        if channels == 1:
            shown = min(filters, limit * limit // 2)
            columns = min(shown, 8 if shown <= 32 else limit)
            rows = -(-shown // columns)
            tiles = weight[:, :, 0, :shown].transpose(2, 0, 1)
            row_names = [str(row * columns) if rows > 1 else "" for row in range(rows)]
            column_names = [f"+{column}" if rows > 1 else str(column) for column in range(columns)]
            row_axis, column_axis = ("filter", "") if rows > 1 else ("", "filter")
            of = "" if shown == filters else f"the first {shown} of "
            title = f"{of}{filters} kernels of {height} x {width}"
        else:
            rows, columns = min(channels, limit), min(filters, limit)
            tiles = weight[:, :, :rows, :columns].transpose(2, 3, 0, 1).reshape(-1, height, width)
            row_names, column_names = [str(row) for row in range(rows)], [str(column) for column in range(columns)]
            row_axis, column_axis = "input channel", "filter"
            title = f"{filters} filters, {channels} input channels, kernels of {height} x {width}"
            if (rows, columns) != (channels, filters):
                title += f"; shown: the first {columns} filters, the first {rows} channels"
        sheet = mosaic(tiles, columns)
        inches = min(0.45, 7.0 / columns)
        figure = new_figure(max(5.2, columns * inches + 1.6), max(1.7, rows * inches * height / width + 0.9))
        axes = figure.add_subplot()
        drawn = show_sheet(axes, sheet, cmap, norm)
        # A thin frame around each kernel: many have white, that is zero, at their edges.
        for index in range(len(tiles)):
            top, left = (index // columns) * (height + 1) - 0.5, (index % columns) * (width + 1) - 0.5
            xs = [left, left + width, left + width, left, left]
            ys = [top, top, top + height, top + height, top]
            axes.plot(xs, ys, color="#bbbbbb", linewidth=0.5)
        axes.set_xlim(-1, sheet.shape[1])
        axes.set_ylim(sheet.shape[0], -1)
        axes.set_xticks(tile_centers(columns, width), column_names)
        axes.set_yticks(tile_centers(rows, height), row_names)
        axes.set_xlabel(column_axis)
        axes.set_ylabel(row_axis)
        axes.set_title(f"{label(name, 64)}: {title}" if name else title, loc="left")
        figure.colorbar(
            drawn,
            ax=axes,
            label="weight",
            fraction=0.05,
            pad=0.02,
            shrink=0.9,
            ticks=[norm.vmin, 0, norm.vmax],
            format="%.2g",
        )
    return figure
