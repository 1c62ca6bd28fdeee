"""The images that a network classifies worst."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from rot180.pictures.label import label, said
from rot180.pictures.style import VERMILION, new_figure, style


def worst_mistakes(labels: ArrayLike, probabilities: ArrayLike, limit: int = 24) -> NDArray[np.int64]:
    """Return the indices of the misclassified images, those with the lowest probability of the true class first.

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
    image_names: Callable[[int], str] | None = None,
    limit: int = 24,
) -> Figure:
    """Draw the worst mistakes: each image, its name, and the probabilities of the true and the predicted class.

    They are ordered by the probability of the true class, the lowest first.

    Parameters
    ----------
    images : (N, H, W, C) or (N, H, W) array
        Integers 0 ... 255 or floats 0 ... 1. Anything that returns an image for an index will do: only the images shown
        are read.
    labels : (N,) array of int
    probabilities : (N, K) array
    image_names : callable, optional
        Returns the name of an image for its number, such as its file name; by default the number itself.

    Examples
    --------
    >>> figure = mistakes(np.zeros((2, 8, 8, 1)), [0, 1], [[0.9, 0.1], [0.75, 0.25]], ["cat", "dog"])
    >>> figure.axes[0].get_title()
    'image 1\\ntrue: dog (25%)\\npredicted: cat (75%)'
    """
    labels = np.asarray(labels)
    probabilities = np.asarray(probabilities, dtype=np.float64)
    names = list(class_names) if class_names is not None else [str(k) for k in range(probabilities.shape[1])]
    chosen = worst_mistakes(labels, probabilities, limit)
    count = int((probabilities.argmax(axis=1) != labels).sum())
    captions = [_caption(int(index), labels, probabilities, names, image_names) for index in chosen]
    # As many columns as the widest line allows.
    widest = max((len(line) for caption in captions for line in caption.splitlines()), default=0)
    across = max(1.05, 0.062 * widest + 0.1)
    columns = max(1, min(8, max(len(chosen), 4), int(8.6 / across)))
    rows = max(1, -(-len(chosen) // columns))
    with style():
        figure = new_figure(max(columns * across, 4.2) + 0.2, rows * 1.55 + 0.5)
        if not len(chosen):
            figure.text(0.5, 0.5, said(f"no mistakes among {len(labels)} images"), ha="center", va="center")
            return figure
        noun = "mistake" if count == 1 else "mistakes"
        title = said(f"{count} {noun} among {len(labels)} images, by the probability of the true class")
        more = "" if len(chosen) == count else f"; shown: the worst {len(chosen)}"
        figure.suptitle(title + said(more), fontsize=10, x=0.01, ha="left")
        for place, (index, caption) in enumerate(zip(chosen, captions, strict=True)):
            axes = figure.add_subplot(rows, columns, place + 1)
            picture = np.asarray(images[index])
            if picture.ndim == 3 and picture.shape[2] == 1:
                picture = picture[..., 0]
            top = 1.0 if np.issubdtype(picture.dtype, np.floating) else float(np.iinfo(picture.dtype).max)
            axes.imshow(picture, cmap="gray", vmin=0.0, vmax=top)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.set_title(caption, loc="center", fontsize=7, color=VERMILION)
    return figure


def _caption(
    index: int,
    labels: NDArray[Any],
    probabilities: NDArray[np.float64],
    names: Sequence[str],
    image_names: Callable[[int], str] | None,
) -> str:
    """Return the name of an image, shortened at its start, then the true and predicted classes with probabilities."""
    lines = [said(f"image {index}") if image_names is None else _end_of(image_names(index))]
    for word, k in (("true", int(labels[index])), ("predicted", int(probabilities[index].argmax()))):
        lines.append(f"{said(word)}: {label(names[k], 14)} ({_percent(probabilities[index, k])})")
    return "\n".join(lines)


def _end_of(name: str, length: int = 26) -> str:
    """Return the end of a path, which distinguishes the files of one folder."""
    return label(name, length) if len(name) <= length else "…" + label(name[1 - length :], length)


def _percent(share: float) -> str:
    """Return a share in percent, with enough digits to show the order."""
    if share >= 0.01 or share == 0:
        return f"{100 * share:.0f}%"
    return f"{100 * share:.1g}%" if share >= 1e-5 else "<0.001%"
