"""How kernels are compiled, and where the results are cached.

Numba caches compiled code and recompiles when the function's own file has changed, but does not notice a change in what
it calls from another file. A kernel compiled with an outdated register block would write where it must not. So the code
is cached in a folder named after the content of all kernel files: in the user's cache, or in NUMBA_CACHE_DIR.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import platformdirs
from numba import cfunc, njit
from numba.core import config

_OPTIONS: dict[str, Any] = {
    "cache": True,
    "nogil": True,
    "boundscheck": False,
    "error_model": "numpy",
    # Fused multiply-adds are allowed; nothing reorders a sum, so that the same seed gives the same bits for any number
    # of threads.
    "fastmath": {"contract", "nsz"},
}


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function whose `prange` splits the work among threads."""
    with _own_cache():
        return njit(parallel=True, **_OPTIONS)(function)


def subroutine(function: Callable[..., Any]) -> Any:
    """Compile a function that kernels call, or that is too short to split."""
    with _own_cache():
        return njit(**_OPTIONS)(function)


def callback(function: Callable[..., Any], signature: Any) -> Any:
    """Compile a function that is called by address."""
    with _own_cache():
        return cfunc(signature, cache=True)(function)


@cache
def _fingerprint() -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@contextmanager
def _own_cache() -> Iterator[None]:
    """Cache what is compiled in the `with` block in the folder of these kernels, and nothing else."""
    given = config.CACHE_DIR
    base = Path(given) if given else Path(platformdirs.user_cache_dir("rot180"))
    config.CACHE_DIR = str(base / f"kernels-{_fingerprint()}")
    try:
        yield
    finally:
        config.CACHE_DIR = given
