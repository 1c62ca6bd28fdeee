"""How one number is computed: windows marked on image, kernel and map, and the largest entries as bars."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

from rot180.language import wrap
from rot180.pictures.label import label, said
from rot180.pictures.mosaic import color_scale
from rot180.pictures.style import BLUE, INK, PALE, SIGNED, VERMILION, new_figure, style

_NUMBERS = 49
"""Arrays with at most this many cells have their values written into them."""


@dataclass(frozen=True)
class Panel:
    """One array, drawn as an image.

    Attributes
    ----------
    title : str
    values : (H, W) array
    marks : sequence of (top, left, height, width)
        Rectangles around cells; parts outside the array represent padding and are drawn too.
    is_image : bool
        Drawn in gray.
    """

    title: str
    values: ArrayLike
    marks: Sequence[tuple[int, int, int, int]] = ()
    is_image: bool = False


def ledger_picture(title: str, panels: Sequence[Panel], bars: Sequence[tuple[str, float]], footer: str = "") -> Figure:
    """Draw the arrays side by side with the cells involved marked, and the entries of the sum below them.

    Parameters
    ----------
    title : str
    panels : sequence of Panel
        May be empty.
    bars : sequence of (label, value)
        Entries of the sum, drawn from top to bottom.
    footer : str
        Text below the bars, such as the sum and the stored value.

    Examples
    --------
    >>> figure = ledger_picture("y = 3", [Panel("x", np.eye(3), [(0, 0, 2, 2)])], [("x[0,0]", 1.0), ("rest", 2.0)])
    >>> len(figure.axes)
    3
    """
    with style():
        # One axes per array, one per color bar, and one for the entries.
        height = 0.5 + (2.3 if panels else 0.0) + 0.22 * len(bars) + 0.7
        figure = new_figure(8.0, height)
        figure.suptitle(label(title, 120), x=0.01, ha="left", fontsize=11)
        rows = [2.3, height - 2.8] if panels else [height]
        grid = figure.add_gridspec(len(rows), 1, height_ratios=rows)
        if panels:
            inner = grid[0].subgridspec(1, len(panels))
            for column, panel in enumerate(panels):
                _draw_panel(figure, figure.add_subplot(inner[column]), panel)
        _draw_bars(figure.add_subplot(grid[-1]), bars, footer)
    return figure


def _draw_panel(figure: Figure, axes: Axes, panel: Panel) -> None:
    values = np.asarray(panel.values, np.float64)
    cmap, norm = color_scale(values)
    height, width = values.shape
    is_numbered = values.size <= _NUMBERS and not panel.is_image
    power, digits = _digits(float(np.abs(values[np.isfinite(values)]).max(initial=0.0))) if is_numbered else (0, 0)
    drawn = axes.imshow(values, cmap="gray" if panel.is_image else cmap, norm=None if panel.is_image else norm)
    title = "\n".join(_broken(label(said(panel.title), 120), 24))
    axes.set_title(f"{title}\n{said(f'numbers times {_ten(power)}')}" if power else title, fontsize=8)
    axes.set_xticks([])
    axes.set_yticks([])
    if is_numbered:
        for (i, j), value in np.ndenumerate(values):
            share = (value - float(norm.vmin or 0)) / (float(norm.vmax or 1) - float(norm.vmin or 0))
            dark = abs(share - 0.5) > 0.32 if cmap == SIGNED else share > 0.64
            size = 7 if width <= 5 else 5.5
            axes.text(
                j,
                i,
                f"{round(value / 10.0**power, digits) + 0.0:.{digits}f}",
                ha="center",
                va="center",
                fontsize=size,
                color="white" if dark else INK,
            )
    top, left, bottom, right = -0.5, -0.5, height - 0.5, width - 0.5
    for row, column, high, wide in panel.marks:
        for color, thick in (("white", 3.2), (VERMILION, 1.8)):
            axes.add_patch(
                Rectangle(
                    (column - 0.5, row - 0.5), wide, high, fill=False, edgecolor=color, linewidth=thick, clip_on=False
                )
            )
        top, left = min(top, row - 0.5), min(left, column - 0.5)
        bottom, right = max(bottom, row + high - 0.5), max(right, column + wide - 0.5)
    axes.set_xlim(left - 0.1, right + 0.1)
    axes.set_ylim(bottom + 0.1, top - 0.1)
    axes.set_frame_on(False)
    bar = figure.colorbar(drawn, ax=axes, fraction=0.05, pad=0.03, location="bottom")
    low, high_value = drawn.get_clim()
    bar.set_ticks([low, high_value], labels=[f"{low:.3g}", f"{high_value:.3g}"])
    bar.outline.set_visible(False)


def _broken(text: str, width: int) -> list[str]:
    """Return the lines of a text, in which a word that is too long for a line is broken as well."""
    return [line[start : start + width] for line in wrap(text, width) for start in range(0, len(line), width)]


def _digits(largest: float) -> tuple[int, int]:
    """Return the power of ten to factor out of an array's numbers, and the decimals to write, for its largest number.

    >>> _digits(0.25), _digits(7.5), _digits(120.0), _digits(3e-5), _digits(45000.0)
    ((0, 2), (0, 1), (0, 0), (-5, 1), (4, 1))
    """
    power = math.floor(math.log10(largest)) if largest else 0
    return (0, max(0, 1 - power)) if -1 <= power <= 2 else (power, 1)


def _ten(power: int) -> str:
    """Return a power of ten as text: 10\N{SUPERSCRIPT MINUS}\N{SUPERSCRIPT FOUR}."""
    return "10" + str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _draw_bars(axes: Axes, bars: Sequence[tuple[str, float]], footer: str) -> None:
    places = np.arange(len(bars))
    values = [value for _, value in bars]
    axes.barh(places, values, color=[VERMILION if value > 0 else BLUE for value in values], height=0.7)
    axes.axvline(0, color=PALE, linewidth=0.8)
    axes.set_yticks(places, [label(said(name), 60) for name, _ in bars], fontsize=6.5)
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.margins(x=0.25)
    for place, value in zip(places, values, strict=True):
        side = "left" if value >= 0 else "right"
        axes.annotate(
            f"{value:+.4g}", (value, place), (3 if value >= 0 else -3, 0), textcoords="offset points", ha=side,
            va="center", fontsize=6.5,
        )  # fmt: skip
    axes.spines["left"].set_visible(False)
    if footer:
        axes.set_xlabel(label(said(footer), 110), fontsize=8, loc="left")
