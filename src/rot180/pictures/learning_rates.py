"""The curve of a learning-rate range test."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from rot180.pictures.label import said
from rot180.pictures.style import BLUE, GREEN, INK, PALE, new_figure, style


def learning_rates(
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    *,
    suggestion: float | None = None,
    title: str = "",
) -> Figure:
    """Draw the loss of each step against its learning rate, on a logarithmic axis.

    Parameters
    ----------
    rates : sequence of float
        The learning rate of each step.
    losses, smoothed : sequence of float
        The loss of each step, in nats, drawn pale, and smoothed.
    suggestion : float, optional
        The suggested learning rate; marked by a line from the axis to the curve, with its number.
    title : str

    Examples
    --------
    >>> figure = learning_rates([1e-3, 1e-2, 1e-1], [2.0, 1.0, 4.0], [2.0, 1.5, 3.0], suggestion=1e-2)
    >>> [axes.get_xlabel() for axes in figure.axes]
    ['learning rate']
    """
    x, raw, curve = (np.asarray(values, np.float64) for values in (rates, losses, smoothed))
    with style():
        figure = new_figure(6.0, 3.4)
        axes = figure.subplots()
        axes.plot(x, raw, color=PALE, linewidth=0.6, alpha=0.6, label=said("each step"))
        axes.plot(x, curve, color=BLUE, linewidth=1.8, label=said("smoothed"))
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
        # The rise at the end may be a thousand times the rest, which would be flat.
        low, high = float(curve.min()), float(curve[: int(curve.argmin()) + 1].max())
        room = max(high - low, 0.05 * abs(high), 1e-6)
        axes.set_ylim(max(low - 0.3 * room, 0.0), high + 0.6 * room)
        axes.set_xlim(x[0], x[-1])
        if suggestion is not None:
            height = float(np.interp(np.log(suggestion), np.log(x), curve))
            axes.plot(
                [suggestion, suggestion], [axes.get_ylim()[0], height], color=GREEN, linewidth=1.2, linestyle="--"
            )
            axes.plot([suggestion], [height], color=GREEN, marker="o", label=said(f"suggestion {suggestion:.2g}"))
        axes.set_xlabel(said("learning rate"))
        axes.set_ylabel(said("loss"))
        if title:
            axes.set_title(said(title), color=INK)
        axes.grid(visible=True)
        axes.set_axisbelow(True)
        axes.legend(loc="best", fontsize=8)
    return figure
