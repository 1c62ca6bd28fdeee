"""The trials of a search for settings: how accurate each was, and what it tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from rot180.ops.types import Array
from rot180.pictures.label import label, said
from rot180.pictures.style import BLUE, GREEN, INK, PALE, VERMILION, new_figure, style


def trials(
    accuracies: Sequence[float | None],
    states: Sequence[str],
    tried: Mapping[str, Sequence[float | str]],
    *,
    best: int | None = None,
    logarithmic: Sequence[str] = (),
    title: str = "",
) -> Figure:
    """Draw the accuracy of each trial in their order, and against each setting that was searched.

    Parameters
    ----------
    accuracies : sequence of float or None
        The last validation accuracy of each trial, in 0 ... 1; None if there was none.
    states : sequence of str
        `finished`, `pruned` or `failed`; pruned trials are drawn pale.
    tried : mapping of str to sequence
        The values of each setting; texts stand side by side.
    best : int, optional
        The place of the best trial, which is ringed.
    logarithmic : sequence of str
        The settings on a logarithmic axis.
    title : str

    Examples
    --------
    >>> figure = trials([0.9, 0.5], ["finished", "pruned"], {"lr": [0.01, 1.0], "width": [1.0, 2.0]}, best=0)
    >>> [axes.get_xlabel() for axes in figure.axes]
    ['trial', 'lr', 'width']
    """
    shares = 100 * np.array([np.nan if value is None else value for value in accuracies], np.float64)
    finished = np.array([state == "finished" for state in states], bool)
    with style():
        figure = new_figure(8.0, 5.4)
        grid = figure.add_gridspec(2, max(len(tried), 1))
        top = figure.add_subplot(grid[0, :])
        numbers = np.arange(1, len(shares) + 1, dtype=np.float64)
        _dots(top, numbers, shares, finished, best)
        if finished.any():
            reached = np.fmax.accumulate(np.where(finished, shares, -np.inf))
            known = np.isfinite(reached)
            top.step(
                numbers[known], reached[known], where="post", color=GREEN, linewidth=1.2, label=said("best so far")
            )
        failed = [number for number, state in zip(numbers, states, strict=True) if state == "failed"]
        if failed:
            at = np.full(len(failed), np.nanmin(shares) if np.isfinite(shares).any() else 0.0)
            top.plot(failed, at, color=VERMILION, marker="x", linestyle="", label=said("failed"))
        top.set_xlabel(said("trial"))
        top.xaxis.set_major_locator(MaxNLocator(integer=True))
        top.legend(loc="best", fontsize=8)
        if title:
            top.set_title(said(title), color=INK)
        panels = [top]
        for place, (name, values) in enumerate(tried.items()):
            axes = figure.add_subplot(grid[1, place], sharey=top)
            _against(axes, name, values, shares, finished, best, is_logarithmic=name in logarithmic)
            axes.tick_params(labelleft=place == 0)
            panels.append(axes)
        for axes in panels:
            axes.grid(visible=True)
            axes.set_axisbelow(True)
        for axes in panels[:2]:
            axes.set_ylabel(said("validation accuracy (%)"))
    return figure


def _against(
    axes: Axes,
    name: str,
    values: Sequence[float | str],
    shares: Array,
    finished: Array,
    best: int | None,
    *,
    is_logarithmic: bool,
) -> None:
    """Draw accuracies against the values of a setting."""
    axes.set_xlabel(said(name))
    if is_logarithmic:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(numticks=4))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_locator(NullLocator())
        _dots(axes, np.array(values, np.float64), shares, finished, best)
        return
    kinds = sorted(dict.fromkeys(values), key=lambda value: 0.0 if isinstance(value, str) else value)
    where = np.array([kinds.index(value) for value in values], np.float64)
    shown = [value.replace(",", ",\n") if isinstance(value, str) else f"{value:g}" for value in kinds]
    _dots(axes, where, shares, finished, best)
    axes.set_xticks(range(len(kinds)), [label(text, 60) if "\n" not in text else text for text in shown])
    axes.tick_params(axis="x", labelsize=7)
    axes.set_xlim(-0.5, len(kinds) - 0.5)


def _dots(axes: Axes, x: Array, shares: Array, finished: Array, best: int | None) -> None:
    """Draw finished trials, pruned ones pale, and a ring around the best."""
    for name, chosen, color in (("pruned", ~finished, PALE), ("finished", finished, BLUE)):
        axes.plot(x[chosen], shares[chosen], color=color, marker="o", markersize=4, linestyle="", label=said(name))
    if best is not None:
        axes.plot(x[best], shares[best], color=GREEN, marker="o", markersize=10, markerfacecolor="none", linestyle="")
