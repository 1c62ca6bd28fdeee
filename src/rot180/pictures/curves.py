"""Loss and accuracy over the course of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from numpy.typing import NDArray

from rot180.pictures.label import said
from rot180.pictures.style import BLUE, GREEN, INK, ORANGE, PALE, PURPLE, new_figure, style

_LOOKS = {"train": (BLUE, "o"), "validation": (ORANGE, "s"), "test": (GREEN, "D")}


def curves(
    loss: Mapping[str, Sequence[float]],
    accuracy: Mapping[str, Sequence[float]],
    *,
    step_loss: Sequence[float] = (),
    steps_per_epoch: float | None = None,
    kept_epoch: int | None = None,
) -> Figure:
    """Draw loss and accuracy against epochs, with the loss of every step in the background.

    The training loss and accuracy of an epoch are means over its steps and are drawn at its middle, just as each moving
    mean is drawn at the middle of its steps; validation and test are measured after an epoch and drawn at its end.

    Parameters
    ----------
    loss, accuracy : mapping of str to sequence of float
        One value per epoch for each of `train`, `validation`, `test`; NaN if there is none, as for a test that ran only
        at the end. Accuracies are shares, 0 ... 1.
    step_loss : sequence of float
        The loss of each update, in nats; drawn pale, with its moving mean.
    steps_per_epoch : float, optional
        Updates per epoch; by default all steps are spread evenly over all epochs.
    kept_epoch : int, optional
        The epoch, from 1, whose weights were kept, if it is not the last; marked by a dotted line.

    Examples
    --------
    >>> figure = curves({"train": [0.5, 0.2]}, {"train": [0.9, 0.97], "test": [float("nan"), 0.95]})
    >>> [axes.get_ylabel() for axes in figure.axes]
    ['loss', 'accuracy (%)']
    """
    epochs = max([len(values) for values in (*loss.values(), *accuracy.values())], default=0)
    with style():
        figure = new_figure(8.0, 3.2)
        left, right = figure.subplots(1, 2)
        steps = np.asarray(step_loss, dtype=np.float64)
        if steps.size:
            per_epoch = steps_per_epoch or steps.size / max(epochs, 1)
            at = np.arange(1, steps.size + 1) / per_epoch
            left.plot(*_thinned(at, steps), color=PALE, linewidth=0.5, alpha=0.45, label=said("each step"))
            window = max(1, min(steps.size // 10, 100))
            if window > 1:
                mean = np.convolve(steps, np.full(window, 1 / window), mode="valid")
                middle = at[window - 1 :] - (window - 1) / (2 * per_epoch)
                left.plot(*_thinned(middle, mean), color=PALE, linewidth=1.2, label=said(f"mean of {window} steps"))
        _lines(left, loss)
        _lines(right, {name: 100 * np.asarray(values, dtype=np.float64) for name, values in accuracy.items()})
        values = np.concatenate([steps, *(np.asarray(v, dtype=np.float64) for v in loss.values())])
        positive = values[np.isfinite(values) & (values > 0)]
        if positive.size and positive.max() / positive.min() > 30:
            left.set_yscale("log")
            left.yaxis.set_major_formatter("{x:g}")
            left.yaxis.set_minor_formatter(NullFormatter())
            left.set_ylim(bottom=max(float(positive.min()), float(positive.max()) * 1e-5) / 1.3)
        else:
            left.set_ylim(bottom=0)
        shares = 100 * np.concatenate([np.asarray(v, dtype=np.float64) for v in accuracy.values()] or [np.zeros(0)])
        shares = shares[np.isfinite(shares)]
        if shares.size:
            # Down to a round number below the lowest value; a small margin above 100.
            low = 10 * np.floor(shares.min() / 10 - 0.2) if shares.min() < 95 else np.floor(shares.min() - 0.2)
            low = max(0.0, float(low))
            right.set_ylim(low, 100 + 0.02 * (100 - low))
        for axes, label in ((left, "loss"), (right, "accuracy (%)")):
            axes.set_xlabel(said("epoch"))
            axes.set_ylabel(said(label))
            axes.grid(visible=True)
            axes.set_axisbelow(True)
            axes.set_xlim(0, max(epochs, 1) * 1.03)
            axes.xaxis.get_major_locator().set_params(integer=True)
            if kept_epoch is not None:
                kept = said(f"weights of epoch {kept_epoch}")
                axes.axvline(kept_epoch, color=INK, linewidth=1, linestyle=":", label=kept)
            if axes.get_legend_handles_labels()[0]:
                axes.legend(loc="best", fontsize=8)
    return figure


def _lines(axes: Axes, series: Mapping[str, Sequence[float] | NDArray[np.float64]]) -> None:
    for name, values in series.items():
        y = np.asarray(values, dtype=np.float64)
        known = np.isfinite(y)
        if not known.any():
            continue
        color, marker = _LOOKS.get(name, (PURPLE, "v"))
        # A single value is a marker with its number; a long line needs no markers.
        size = 5 if known.sum() <= 30 else 0
        x = np.arange(1, y.size + 1)[known] - (0.5 if name == "train" else 0.0)
        shown = said("train, mean of the epoch" if name == "train" else name)
        label = f"{shown} {y[known][-1]:.4g}" if known.sum() == 1 else shown
        axes.plot(x, y[known], color=color, marker=marker, markersize=size, linewidth=1.5, label=label)


def _thinned(x: NDArray[np.float64], y: NDArray[np.float64], most: int = 2000) -> tuple[NDArray[np.float64], ...]:
    """Keep every n-th point: a curve of 60,000 steps makes an SVG of several megabytes and shows no more."""
    every = -(-x.size // most)
    return x[::every], y[::every]
