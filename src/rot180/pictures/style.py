"""The style of every picture: colors that color-blind readers can distinguish, fonts, figures without a window.

Matplotlib's object interface is used throughout: a `Figure` belongs to its caller, without global state, and no
display is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.figure import Figure

# Okabe and Ito's palette, distinguishable under every common color blindness.
BLUE, ORANGE, GREEN, VERMILION, PURPLE = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7"
INK, PALE = "#222222", "#8a8a8a"

SIGNED = "RdBu_r"
"""Signed values: red above zero, blue below, white at zero."""
UNSIGNED = "Reds"
"""Values from zero up: white at zero, red above, as for signed values; distinguishable by lightness alone."""

_CJK = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",  # Matplotlib knows only the first font of a collection, which has the same characters
    "Noto Sans SC",
    "Source Han Sans SC",
    "Source Han Sans CN",
    "PingFang SC",
    "Hiragino Sans GB",
    "Heiti SC",
    "STHeiti",
    "Microsoft YaHei",
    "SimHei",
    "SimSun",
    "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei",
    "Droid Sans Fallback",
    "AR PL UMing CN",
    "Arial Unicode MS",
)
"""Fonts with Chinese characters on Linux, macOS and Windows; those installed supply what DejaVu lacks."""


def draws_chinese() -> bool:
    """Return whether a font with Chinese characters is installed."""
    return bool(_chinese_fonts())


@cache
def _chinese_fonts() -> tuple[str, ...]:
    """Return the installed fonts with Chinese characters; Matplotlib's own list is as old as its first use."""
    manager = font_manager.fontManager
    if not set(_CJK).intersection(font_manager.get_font_names()):
        known = {entry.fname for entry in manager.ttflist}
        for path in font_manager.findSystemFonts():
            if path not in known:
                with suppress(Exception):  # a damaged font may raise anything, and is left out
                    manager.addfont(path)
    installed = set(font_manager.get_font_names())
    return tuple(name for name in _CJK if name in installed)


@contextmanager
def style() -> Iterator[None]:
    """Draw and save inside this block with fixed settings, independent of the user's Matplotlib configuration."""
    settings: dict[Any, Any] = {
        "figure.dpi": 150,
        "savefig.dpi": 150,
        "font.family": ["DejaVu Sans", *_chinese_fonts()],
        "font.size": 9,
        "axes.titlesize": 10,
        "axes.titlelocation": "left",
        "axes.labelsize": 9,
        "axes.edgecolor": PALE,
        "axes.labelcolor": INK,
        "axes.linewidth": 0.8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": False,
        "grid.color": "#e4e4e4",
        "grid.linewidth": 0.8,
        "xtick.color": INK,
        "ytick.color": INK,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "legend.frameon": False,
        "text.color": INK,
        "text.parse_math": False,  # a class may be called "$5 note$"
        "image.interpolation": "nearest",
        "svg.hashsalt": "rot180",  # the same picture gives the same bytes
        "svg.fonttype": "path",
    }
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(settings)
        yield


def new_figure(width: float, height: float) -> Figure:
    """Return an empty white figure of this size in inches, with a layout that avoids overlaps."""
    return Figure(figsize=(width, height), facecolor="white", layout="constrained")
