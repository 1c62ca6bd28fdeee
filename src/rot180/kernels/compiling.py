"""How kernels are compiled, and where the results are cached.

Numba caches compiled code and recompiles when the function's own file has changed, but does not notice a change in what
it calls from another file. A kernel compiled with an outdated register block would write where it must not. So the code
of each file is cached in a folder named after its content and that of all kernel files that it imports: in the user's
cache, or in NUMBA_CACHE_DIR.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import platformdirs
from numba import cfunc, njit
from numba.core import config

_FOLDER = Path(__file__).parent
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
    with _own_cache(function):
        return njit(parallel=True, **_OPTIONS)(function)


def subroutine(function: Callable[..., Any]) -> Any:
    """Compile a function that kernels call, or that is too short to split."""
    with _own_cache(function):
        return njit(**_OPTIONS)(function)


def callback(function: Callable[..., Any], signature: Any) -> Any:
    """Compile a function that is called by address."""
    with _own_cache(function):
        return cfunc(signature, cache=True)(function)


@cache
def fingerprint(name: str) -> str:
    """Return a digest of a kernel file, given without its suffix, and of all kernel files that it imports."""
    digest = hashlib.sha256()
    waiting, seen = [name], {name}
    while waiting:
        source, imported = _read(waiting.pop())
        digest.update(source)
        found = sorted(imported - seen)
        waiting += found
        seen.update(found)
    return digest.hexdigest()[:16]


@cache
def _read(name: str) -> tuple[bytes, set[str]]:
    """Return the source of a kernel file and the kernel files that it imports."""
    source = (_FOLDER / f"{name}.py").read_bytes()
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == __package__:
            names |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{__package__}."):
            names.add(str(node.module).rpartition(".")[2])
    return source, {name for name in names if (_FOLDER / f"{name}.py").exists()}


@contextmanager
def _own_cache(function: Callable[..., Any]) -> Iterator[None]:
    """Cache what is compiled in the `with` block in the folder of the function's file, and nothing else."""
    given = config.CACHE_DIR
    base = Path(given) if given else Path(platformdirs.user_cache_dir("rot180"))
    config.CACHE_DIR = str(base / f"kernels-{fingerprint(Path(function.__code__.co_filename).stem)}")
    try:
        yield
    finally:
        config.CACHE_DIR = given
