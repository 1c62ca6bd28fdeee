"""Rows of images with a name beside each row: samples of a data set, or of its augmentation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from rot180.pictures.label import label
from rot180.pictures.style import new_figure, style


def contact_sheet(
    rows: Sequence[Sequence[ArrayLike]],
    row_names: Sequence[str],
    title: str = "",
    *,
    column_names: Sequence[str] = (),
) -> Figure:
    """Draw rows of images.

    Parameters
    ----------
    rows : sequence of sequences of (H, W, C) or (H, W) arrays
        All of the same shape; integers 0 ... 255 or floats 0 ... 1. A row may be shorter than others, or empty.
    row_names : sequence of str
        One name per row.
    column_names : sequence of str
        Names above the columns; optional.

    Examples
    --------
    >>> figure = contact_sheet([[np.zeros((8, 8, 1))] * 3, []], ["cat (3)", "dog (0)"], "two classes")
    >>> [text.get_text() for text in figure.axes[0].get_yticklabels()]
    ['cat (3)', 'dog (0)']
    """
    pictures = [[_in_color(image) for image in row] for row in rows]
    height, width = next((image.shape[:2] for row in pictures for image in row), (8, 8))
    columns = max((len(row) for row in pictures), default=0) or 1
    gap = max(1, round(0.08 * max(height, width)))
    sheet = np.ones((len(rows) * (height + gap) - gap, columns * (width + gap) - gap, 3), np.float32)
    for row, images in enumerate(pictures):
        for column, image in enumerate(images):
            top, left = row * (height + gap), column * (width + gap)
            sheet[top : top + height, left : left + width] = image
    cell = 0.62
    names = [label(name) for name in row_names]
    margin = 0.3 + 0.075 * max(map(len, names), default=0)
    with style():
        figure = new_figure(
            max(columns * cell * width / max(height, width) + margin, 3.0),
            len(rows) * cell * height / max(height, width) + (0.7 if title else 0.4),
        )
        axes = figure.add_subplot()
        axes.imshow(sheet, interpolation="nearest")
        axes.set_frame_on(False)
        axes.tick_params(length=0)
        axes.set_yticks(np.arange(len(rows)) * (height + gap) + (height - 1) / 2, names)
        if column_names:
            axes.xaxis.tick_top()
            places = np.arange(len(column_names)) * (width + gap) + (width - 1) / 2
            axes.set_xticks(places, [label(name, 12) for name in column_names])
        else:
            axes.set_xticks([])
        axes.set_title(
            label(title, int(11 * figure.get_figwidth()))
        )  # a longer title would leave no room for the sheet
    return figure


def _in_color(image: ArrayLike) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Return an image as (H, W, 3) floats from 0 to 1; unless it has 3 channels, the first is shown in gray."""
    array = np.asarray(image)
    top = 1.0 if np.issubdtype(array.dtype, np.floating) else float(np.iinfo(array.dtype).max)
    values = (array.astype(np.float32) / np.float32(top)).clip(0, 1)
    if values.ndim == 2:
        values = values[..., np.newaxis]
    return values if values.shape[2] == 3 else np.repeat(values[..., :1], 3, axis=2)
