"""What commands print to stdout: one JSON object, or text."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from rot180.language.visible import json_ready, visible, visible_json

__all__ = ["percent", "print_json", "visible"]


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


def percent(share: float) -> str:
    """Return a share as a percentage with two decimals.

    >>> percent(0.98765)
    '98.77%'
    """
    return f"{100 * share:.2f}%"
