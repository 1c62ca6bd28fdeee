"""What goes to stdout: one JSON object, or text for people."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rot180.language.visible import visible, visible_json

__all__ = ["percent", "print_json", "visible"]


def print_json(values: Mapping[str, Any]) -> None:
    """Print one JSON object on one line.

    JSON has no infinities and no NaN: they become null. What would act on a terminal is escaped within its strings.

    >>> print_json({"loss": float("nan"), "run": Path("runs") / "a", "classes": ("cat", "dog")})
    {"loss": null, "run": "runs/a", "classes": ["cat", "dog"]}
    """
    # Where the terminal cannot show all letters, JSON's own escapes are the ones that a reader understands.
    unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    print(visible_json(json.dumps(_plain(values), ensure_ascii=not unicode, allow_nan=False)))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return value.as_posix()
    if hasattr(value, "tolist"):  # NumPy's arrays and scalars
        return _plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def percent(share: float) -> str:
    """Return a share as a percentage with two digits.

    >>> percent(0.98765)
    '98.77%'
    """
    return f"{100 * share:.2f}%"
