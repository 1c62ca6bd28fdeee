"""The kernels of one convolution."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from rot180.pictures.label import label, said
from rot180.pictures.mosaic import color_scale, frame_tiles, mosaic, show_sheet, tile_centers
from rot180.pictures.style import new_figure, style


def kernels(weight: ArrayLike, name: str = "", *, limit: int = 16, of_colors: bool = False) -> Figure:
    """Draw the kernels of one convolution on a common scale with white at zero.

    With one input channel the filters fill a grid in row order, at most `limit * limit / 2` of them. With several, a
    column is a filter and a row an input channel, at most `limit` of each. The title gives the numbers shown.

    Kernels over red, green and blue are drawn in color, one tile per filter: gray is zero in all three, and larger
    weights are drawn in a stronger color.

    Parameters
    ----------
    weight : (KH, KW, C, F) array
        The weights, in any unit.
    name : str
        The layer's name, for the title.
    of_colors : bool
        Whether the three input channels are red, green and blue.

    Examples
    --------
    >>> figure = kernels(np.random.default_rng(0).normal(size=(5, 5, 1, 32)), "conv1")
    >>> figure.axes[0].get_title(loc="left")
    'conv1: 32 kernels of 5 x 5'
    """
    weight = np.asarray(weight, dtype=np.float64)
    height, width, channels, filters = weight.shape
    cmap, norm = color_scale(weight, signed=True)  # of all kernels, so that those shown are comparable with the rest
    with style():
        if channels == 1 or of_colors:
            shown = min(filters, limit * limit // 2)
            columns = min(shown, 8 if shown <= 32 else limit)
            rows = -(-shown // columns)
            tiles = weight[:, :, :, :shown].transpose(3, 0, 1, 2)  # (F, KH, KW, C)
            row_names = [str(row * columns) if rows > 1 else "" for row in range(rows)]
            column_names = [f"+{column}" if rows > 1 else str(column) for column in range(columns)]
            row_axis, column_axis = ("filter", "") if rows > 1 else ("", "filter")
            title = f"{filters} kernels of {height} x {width}"
            if of_colors:
                title += " over red, green and blue"
            more = "" if shown == filters else f"; shown: the first {shown}"
        else:
            rows, columns = min(channels, limit), min(filters, limit)
            tiles = weight[:, :, :rows, :columns].transpose(2, 3, 0, 1).reshape(-1, height, width, 1)
            row_names, column_names = [str(row) for row in range(rows)], [str(column) for column in range(columns)]
            row_axis, column_axis = "input channel", "filter"
            title = f"{filters} filters, {channels} input channels, kernels of {height} x {width}"
            is_whole = (rows, columns) == (channels, filters)
            more = "" if is_whole else f"; shown: the first {columns} filters, the first {rows} channels"
        title = said(title) + said(more)
        largest = float(norm.vmax or 1.0)
        sheet = np.stack([mosaic(tiles[..., channel], columns) for channel in range(tiles.shape[-1])], axis=-1)
        sheet = np.nan_to_num(0.5 + 0.5 * sheet / largest, nan=1.0) if of_colors else sheet[..., 0]
        inches = min(0.45, 7.0 / columns)
        figure = new_figure(max(5.2, columns * inches + 1.6), max(1.7, rows * inches * height / width + 0.9))
        axes = figure.add_subplot()
        drawn = show_sheet(axes, sheet, cmap, norm)
        frame_tiles(axes, len(tiles), columns, height, width)
        axes.set_xlim(-1, sheet.shape[1])
        axes.set_ylim(sheet.shape[0], -1)
        axes.set_xticks(tile_centers(columns, width), column_names)
        axes.set_yticks(tile_centers(rows, height), row_names)
        axes.set_xlabel(said(column_axis))
        axes.set_ylabel(said(row_axis))
        axes.set_title(f"{label(name, 64)}: {title}" if name else title, loc="left")
        if of_colors:
            key = said(f"gray: weight 0; full red, green or blue: {largest:.2g}; none: {-largest:.2g}")
            axes.set_xlabel(f"{said(column_axis)}\n{key}")
        else:
            figure.colorbar(
                drawn,
                ax=axes,
                label=said("weights"),
                fraction=0.05,
                pad=0.02,
                shrink=0.9,
                ticks=[norm.vmin, 0, norm.vmax],
                format="%.2g",
            )
    return figure
