"""One image on its way through the network: the output of every layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from rot180.pictures.label import label, said
from rot180.pictures.mosaic import color_scale, frame_tiles, mosaic, show_sheet
from rot180.pictures.style import INK, ORANGE, PALE, new_figure, style

_CELLS = 64
"""Units of a fully connected layer in one line of its strip."""
_NUMBERED = 12
"""Layers with at most this many units have the values written into them."""
_BARS = 12
"""The most classes that get a bar."""


def feature_maps(
    image: ArrayLike,
    maps: Sequence[tuple[str, ArrayLike]],
    title: str = "",
    *,
    limit: int = 12,
    class_names: Sequence[str] | None = None,
    probabilities: ArrayLike | None = None,
) -> Figure:
    """Draw an image and, below it, a row of feature maps for each layer, and the probabilities of the classes.

    White is zero everywhere, red is above and blue below it. Each row has its own scale, shown at its right end; the
    values of layers with few units are written into them.

    Parameters
    ----------
    image : (H, W, C) or (H, W) array
        The raw image: integers 0 ... 255 or floats 0 ... 1.
    maps : sequence of (name, array)
        In the order of the layers; an array is (H, W, C) for feature maps or (n,) for units.
    limit : int
        The most maps to draw per layer; the row's label gives their total number.
    class_names : sequence of str, optional
        Written below the probability bars, or below the last row if it has one unit per class.
    probabilities : (K,) array, optional
        The network's prediction, drawn as bars; if there are more than 12 classes, only the likeliest.

    Examples
    --------
    >>> figure = feature_maps(np.eye(4), [("conv1", np.ones((4, 4, 2))), ("fc1", np.arange(3.0))])
    >>> [axes.get_ylabel().replace(chr(10), " ") for axes in figure.axes if axes.get_ylabel()]
    ['image 4 x 4', 'conv1 4 x 4 x 2', 'fc1 3']
    """
    arrays = [(name, np.asarray(array, dtype=np.float64)) for name, array in maps]
    picture = np.asarray(image)
    if picture.ndim == 3 and picture.shape[2] == 1:
        picture = picture[:, :, 0]
    width = 8.0
    heights = [0.95] + [_row_height(array, limit, width) for _, array in arrays]
    if probabilities is not None:
        heights.append(0.7)
    with style():
        figure = new_figure(width, sum(heights) + 0.22 * len(heights) + 0.4)
        grid = figure.add_gridspec(len(heights), 1, height_ratios=heights)
        axes = figure.add_subplot(grid[0])
        top = 1.0 if np.issubdtype(picture.dtype, np.floating) else float(np.iinfo(picture.dtype).max)
        axes.imshow(picture, cmap="gray", vmin=0.0, vmax=top)
        axes.set_anchor("W")
        axes.set_xticks([])
        _label(axes, said("image"), picture.shape)
        if title:
            axes.set_title(label(said(title), 120), loc="left")
        for row, (name, array) in enumerate(arrays, start=1):
            last = row == len(arrays) and probabilities is None
            _draw_layer(figure, figure.add_subplot(grid[row]), name, array, limit, class_names if last else None)
        if probabilities is not None:
            shares = np.asarray(probabilities, dtype=np.float64)
            names = class_names if class_names is not None else [str(k) for k in range(shares.size)]
            _draw_probabilities(figure.add_subplot(grid[-1]), shares, names)
    return figure


def _row_height(array: NDArray[np.float64], limit: int, width: float) -> float:
    if array.ndim == 1:
        return 0.3 + 0.05 * (-(-array.size // _CELLS) - 1)
    height, across, _ = array.shape
    return float(min(0.95, (width - 2.0) / limit * height / across))


def _draw_layer(
    figure: Figure,
    axes: Axes,
    name: str,
    array: NDArray[np.float64],
    limit: int,
    class_names: Sequence[str] | None,
) -> None:
    cmap, norm = color_scale(array)
    if array.ndim == 1:
        columns = min(array.size, _CELLS)
        sheet = mosaic(array.reshape(-1, 1, 1), columns, gap=0)
        drawn = show_sheet(axes, sheet, cmap, norm, aspect="auto")
        names = class_names if class_names is not None and len(class_names) == array.size <= 20 else None
        axes.set_xticks(range(len(names)) if names else [], [label(one, 12) for one in names or []])
        if array.size <= _NUMBERED:
            for place, value in enumerate(array):
                color = "white" if abs(value) > 0.6 * float(norm.vmax or 1.0) else INK
                axes.text(place, 0, f"{value:.2g}", ha="center", va="center", fontsize=7, color=color)
    else:
        tiles = array[:, :, :limit].transpose(2, 0, 1)
        gap = max(1, array.shape[1] // 14)
        # Always room for `limit` tiles, so that the columns of all layers are aligned.
        drawn = show_sheet(axes, mosaic(tiles, limit, gap), cmap, norm)
        frame_tiles(axes, len(tiles), limit, array.shape[0], array.shape[1], gap)
        axes.set_anchor("W")
        axes.set_xticks([])
    _label(axes, name, array.shape, shown=min(limit, array.shape[-1]) if array.ndim == 3 else None)
    figure.colorbar(drawn, ax=axes, fraction=0.015, pad=0.01, ticks=[norm.vmin, norm.vmax], format="%.2g")


def _draw_probabilities(axes: Axes, shares: NDArray[np.float64], names: Sequence[str]) -> None:
    """Draw a bar for each class, or for the likeliest if there are many, with its share in percent."""
    shown: list[int] = list(range(shares.size))
    if shares.size > _BARS:
        shown = np.argsort(-shares, kind="stable")[:_BARS].tolist()
    likeliest = int(shares.argmax()) if shares.size else -1
    colors = [ORANGE if k == likeliest else PALE for k in shown]
    axes.bar(range(len(shown)), shares[shown], color=colors, width=0.8)
    for place, share in enumerate(shares[shown]):
        text = f"{100 * share:.0f}%" if share >= 0.005 else "<1%" if share > 0 else "0%"
        axes.text(place, share + 0.03, text, ha="center", va="bottom", fontsize=7)
    axes.set_xlim(-0.5, len(shown) - 0.5)
    axes.set_ylim(0, 1.25)
    axes.set_xticks(range(len(shown)), [label(names[k], 10 if len(shown) <= 8 else 7) for k in shown])
    axes.tick_params(length=0)
    _label(axes, said("probability"), shares.shape, shown=len(shown), which="likeliest")


def _label(axes: Axes, name: str, shape: tuple[int, ...], shown: int | None = None, which: str = "first") -> None:
    """Write a row's name and shape to its left."""
    text = f"{label(name)}\n{' x '.join(str(size) for size in shape)}"
    if shown is not None and shown < shape[-1]:
        text += "\n" + said(f"({which} {shown})")
    axes.set_ylabel(text, rotation=0, ha="right", va="center", fontsize=8)
    axes.set_yticks([])
    axes.set_frame_on(False)
