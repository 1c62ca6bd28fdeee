"""Many small images as one array, with gaps between them.

One array needs one drawing call: 256 kernels as 256 Matplotlib axes would take half a minute.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.image import AxesImage
from numpy.typing import ArrayLike, NDArray

from rot180.pictures.style import SIGNED, UNSIGNED

Floats = NDArray[np.float64]


def mosaic(tiles: Floats, columns: int, gap: int = 1) -> Floats:
    """Lay tiles (count, h, w) out in row order; gaps and the unused end of the last row are NaN.

    >>> mosaic(np.ones((3, 1, 1)), columns=2)
    array([[ 1., nan,  1.],
           [nan, nan, nan],
           [ 1., nan, nan]])
    """
    count, height, width = tiles.shape
    rows = -(-count // columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap), np.nan)
    for index, tile in enumerate(tiles):
        top, left = (index // columns) * (height + gap), (index % columns) * (width + gap)
        sheet[top : top + height, left : left + width] = tile
    return sheet


def color_scale(values: ArrayLike, *, signed: bool | None = None) -> tuple[str, Normalize]:
    """Return the color map and range for these values.

    Signed values get a symmetric scale with white at zero, so that equal magnitudes look equally strong; values that
    are never below zero get a scale from zero up. `signed=None` decides by the values. Infinities and NaN are ignored.
    """
    array = np.asarray(values, dtype=np.float64)
    finite = array[np.isfinite(array)]
    largest = float(np.abs(finite).max()) if finite.size else 0.0
    largest = largest or 1.0
    if signed is None:
        signed = bool(finite.size) and float(finite.min()) < 0
    return (SIGNED, Normalize(-largest, largest)) if signed else (UNSIGNED, Normalize(0.0, largest))


def show_sheet(axes: Axes, sheet: Floats, cmap: str, norm: Normalize, **options: Any) -> AxesImage:
    """Draw a sheet with square pixels and no frame; NaN stays white. An (h, w, 3) sheet holds colors."""
    drawn = axes.imshow(np.ma.masked_invalid(sheet), cmap=cmap, norm=norm, **options)
    axes.set_frame_on(False)
    axes.tick_params(length=0)
    return drawn


def frame_tiles(axes: Axes, count: int, columns: int, height: int, width: int, gap: int = 1) -> None:
    """Draw a thin frame around each tile of a sheet: many have white, that is zero, at the edges."""
    for index in range(count):
        top, left = (index // columns) * (height + gap) - 0.5, (index % columns) * (width + gap) - 0.5
        xs = [left, left + width, left + width, left, left]
        ys = [top, top, top + height, top + height, top]
        axes.plot(xs, ys, color="#bbbbbb", linewidth=0.5, clip_on=False)


def tile_centers(count: int, size: int, gap: int = 1) -> Floats:
    """Return the pixel coordinate of the center of each tile along one axis."""
    return np.arange(count, dtype=np.float64) * (size + gap) + (size - 1) / 2
