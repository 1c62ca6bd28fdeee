"""The images that a network is most wrong about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from rot180.pictures.label import label
from rot180.pictures.style import VERMILION, new_figure, style


def worst_mistakes(labels: ArrayLike, probabilities: ArrayLike, limit: int = 24) -> NDArray[np.int64]:
    """Return the indices of the wrongly classified images, the least probability for the truth first.

    Parameters
    ----------
    labels : (N,) array of int
    probabilities : (N, K) array
        Each row sums to 1.

    Examples
    --------
    >>> worst_mistakes([0, 0, 1], [[0.9, 0.1], [0.4, 0.6], [0.8, 0.2]])
    array([2, 1])
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    of_truth = probabilities[wrong, labels[wrong]]
    return wrong[np.argsort(of_truth, kind="stable")][:limit].astype(np.int64)


def mistakes(
    images: Any,
    labels: ArrayLike,
    probabilities: ArrayLike,
    class_names: Sequence[str] | None = None,
    *,
    limit: int = 24,
) -> Figure:
    """Draw the worst mistakes: each image, what it is, and what it was taken for with which probability.

    Parameters
    ----------
    images : (N, H, W, C) or (N, H, W) array
        Integers 0 ... 255 or floats 0 ... 1. Whatever gives one image for a number will do: only those shown are asked
        for.
    labels : (N,) array of int
    probabilities : (N, K) array

    Examples
    --------
    >>> figure = mistakes(np.zeros((2, 8, 8, 1)), [0, 1], [[0.9, 0.1], [0.75, 0.25]], ["cat", "dog"])
    >>> figure.axes[0].get_title()
    'true: dog\\nsaid: cat (75%)'
    """
    labels = np.asarray(labels)
    probabilities = np.asarray(probabilities, dtype=np.float64)
    names = list(class_names) if class_names is not None else [str(k) for k in range(probabilities.shape[1])]
    chosen = worst_mistakes(labels, probabilities, limit)
    count = int((probabilities.argmax(axis=1) != labels).sum())
    columns = min(8, max(len(chosen), 4))
    rows = max(1, -(-len(chosen) // columns))
    with style():
        figure = new_figure(columns * 1.05 + 0.2, rows * 1.4 + 0.5)
        if not len(chosen):
            figure.text(0.5, 0.5, f"no mistakes among {len(labels)} images", ha="center", va="center")
            return figure
        shown = "" if len(chosen) == count else f"; the worst {len(chosen)} are shown"
        noun = "mistake" if count == 1 else "mistakes"
        figure.suptitle(f"{count} {noun} among {len(labels)} images{shown}", fontsize=10, x=0.01, ha="left")
        for place, index in enumerate(chosen):
            axes = figure.add_subplot(rows, columns, place + 1)
            picture = np.asarray(images[index])
            if picture.ndim == 3 and picture.shape[2] == 1:
                picture = picture[..., 0]
            top = 1.0 if np.issubdtype(picture.dtype, np.floating) else float(np.iinfo(picture.dtype).max)
            axes.imshow(picture, cmap="gray", vmin=0.0, vmax=top)
            axes.set_xticks([])
            axes.set_yticks([])
            taken = int(probabilities[index].argmax())
            axes.set_title(
                f"true: {label(names[labels[index]], 12)}\n"
                f"said: {label(names[taken], 12)} ({100 * probabilities[index, taken]:.0f}%)",
                loc="center",
                fontsize=8,
                color=VERMILION,
            )
    return figure
