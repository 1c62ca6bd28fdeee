"""How every kernel is compiled."""

from __future__ import annotations

from typing import Any

PARALLEL: dict[str, Any] = {
    "parallel": True,
    "cache": True,
    "nogil": True,
    "boundscheck": False,
    "error_model": "numpy",
    "fastmath": {"contract", "nsz"},
}
"""Options of a kernel whose `prange` splits the work. `contract` allows fused multiply-adds; nothing reorders a sum, so
that the same seed gives the same bits for any number of threads."""

INLINE: dict[str, Any] = {**PARALLEL, "parallel": False, "inline": "never"}
"""Options of a function that kernels call."""
