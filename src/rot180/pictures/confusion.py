"""The confusion matrix as a picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from rot180.pictures.label import label, said
from rot180.pictures.style import INK, new_figure, style


def confusion_matrix(matrix: ArrayLike, class_names: Sequence[str] | None = None) -> Figure:
    """Draw a confusion matrix in which mistakes are visible.

    On a common scale the diagonal, hundreds of times larger, would hide every mistake; so mistakes have their own scale
    (orange) and the diagonal is plain blue.

    Parameters
    ----------
    matrix : (K, K) array of int
        The number of images of class `row` that were predicted as class `column`.
    class_names : sequence of K str, optional
        By default the classes are numbered.

    Examples
    --------
    >>> confusion_matrix([[9, 1], [0, 10]], ["cat", "dog"]).axes[0].get_title(loc="left")
    '19 of 20 correct (95.00%), 1 mistake'
    """
    counts = np.asarray(matrix, dtype=np.int64)
    size = counts.shape[0]
    names = [label(name, 24) for name in (range(size) if class_names is None else class_names)]
    total, right = int(counts.sum()), int(np.trace(counts))
    wrong = total - right
    mistakes = np.where(np.eye(size, dtype=bool), 0, counts)
    most = max(int(mistakes.max(initial=0)), 1)
    numbers = size <= 20
    cell = 0.42 if numbers else max(0.08, 6.5 / size)
    longest = max(map(len, names))
    slanted = longest > 4
    with style():
        margin = 0.9 + 0.07 * longest
        figure = new_figure(size * cell + margin + 1.0, size * cell + margin + (0.2 if slanted else 0.0))
        axes = figure.add_subplot()
        norm = Normalize(0, most)
        drawn = axes.imshow(np.ma.masked_equal(mistakes, 0), cmap="Oranges", norm=norm)
        axes.imshow(np.ma.masked_equal(np.eye(size), 0), cmap="Blues", vmin=0.0, vmax=3.0)
        step = 1 if numbers else -(-size // 25)
        axes.set_xticks(
            range(0, size, step),
            names[::step],
            rotation=45 if slanted else 0,
            ha="right" if slanted else "center",
            rotation_mode="anchor",
        )
        axes.set_yticks(range(0, size, step), names[::step])
        axes.set_xlabel(said("predicted"))
        axes.set_ylabel(said("true"))
        for edge in range(size + 1):
            axes.axhline(edge - 0.5, color="#e4e4e4", linewidth=0.5)
            axes.axvline(edge - 0.5, color="#e4e4e4", linewidth=0.5)
        if numbers:
            for row, column in np.argwhere(counts):
                dark = row != column and counts[row, column] > 0.6 * most
                axes.text(
                    column,
                    row,
                    str(counts[row, column]),
                    ha="center",
                    va="center",
                    fontsize=8 if counts.max() < 10_000 else 6,
                    color="white" if dark else INK,
                )
        share = f"{100 * right / total:.2f}%" if total else said("no images")
        title = f"{right} of {total} correct ({share}), {wrong} mistake{'' if wrong == 1 else 's'}"
        axes.set_title(said(title), loc="left")
        ticks = sorted({1, most, (most + 1) // 2})
        figure.colorbar(drawn, ax=axes, label=said("mistakes"), fraction=0.045, pad=0.02, ticks=ticks)
    return figure
