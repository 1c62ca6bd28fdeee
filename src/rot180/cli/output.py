"""What commands print to stdout: one JSON object, or text."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rot180.language import display_width, pad
from rot180.language.visible import json_ready, visible, visible_json

__all__ = ["percent", "print_columns", "print_json", "visible"]


def print_json(values: Mapping[str, Any]) -> None:
    """Print one JSON object on one line.

    Infinities and NaN, which JSON lacks, become null. Characters that act on a terminal are escaped within strings.

    >>> from pathlib import Path
    >>> print_json({"loss": float("nan"), "run": Path("runs") / "a", "classes": ("cat", "dog")})
    {"loss": null, "run": "runs/a", "classes": ["cat", "dog"]}
    """
    # If the terminal cannot show every character, JSON's own escapes are what a parser understands.
    unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    print(visible_json(json.dumps(json_ready(values), ensure_ascii=not unicode, allow_nan=False)))


def print_columns(rows: Sequence[Sequence[object]]) -> None:
    """Print rows of cells, each column as wide as its widest cell.

    >>> print_columns([("trial", "validation"), (1, "97.50%")])
    trial  validation
    1      97.50%
    """
    shown = [[visible(cell) for cell in row] for row in rows]
    widths = [max(map(display_width, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        print("  ".join(pad(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip())


def percent(share: float) -> str:
    """Return a share as a percentage with two decimals.

    >>> percent(0.98765)
    '98.77%'
    """
    return f"{100 * share:.2f}%"
