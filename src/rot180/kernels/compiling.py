"""How kernels are compiled, and where the results are cached.

Numba caches compiled code and recompiles when the function's own file has changed, but does not notice a change in what
it calls from another file. A kernel compiled with an outdated register block would write where it must not. So the code
of each file is cached in a folder named after its content, that of all files of this package that it imports, and the
version of Numba, which empties the folders of others: in the user's cache, or in NUMBA_CACHE_DIR.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any

import numba
import platformdirs
from numba import cfunc, njit
from numba.core import config
from numba.core.caching import FunctionCache
from numba.core.registry import cpu_target

from rot180.kernels.entry import Compiler

_PACKAGE = Path(__file__).parents[1]
# Parsing fifty modules would take a quarter of a second. What is imported inside a function, no kernel calls.
_IMPORT = re.compile(rf"^from {_PACKAGE.name}\.([\w.]+) import (\([^)]*\)|.*)$", re.MULTILINE)
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
    """Compile a function that all threads of a team run, each its part; its first parameter is the team."""
    from rot180.kernels.launching import Kernel

    with _own_cache(function):
        return Kernel(njit(pipeline_class=Compiler, no_cpython_wrapper=True, **_OPTIONS)(function))


def subroutine(function: Callable[..., Any]) -> Any:
    """Compile a function that kernels call, or that is too short to split."""
    with _own_cache(function):
        return njit(**_OPTIONS)(function)


def callback(function: Callable[..., Any], signature: Any) -> Any:
    """Compile a function that is called by address."""
    with _own_cache(function):
        return cfunc(signature, cache=True)(function)


def is_cached(function: Any, signature: Any) -> bool:
    """Return whether a kernel, subroutine or callback needs no compiling for a signature, apart from what it calls."""
    if isinstance(function, FunctionType):
        with _own_cache(function):
            stored = FunctionCache(function)
    else:
        stored = function._cache
    # Loading the code itself would take a hundred times as long.
    key = stored._index_key(signature, cpu_target.target_context.codegen())
    return key in stored._cache_file._load_index()


@cache
def fingerprint(name: str) -> str:
    """Return a digest of a module of the package, of all modules of it that this one imports, and of Numba's version.

    The name is relative to the package, such as `kernels.tile`.
    """
    digest = hashlib.sha256(numba.__version__.encode())
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
    """Return the source of a module and the modules of the package that it imports."""
    source = _path(name).read_bytes()
    names: set[str] = set()
    for module, imported in _IMPORT.findall(source.decode()):
        names |= {module, *(f"{module}.{name}" for name in re.findall(r"\w+", imported))}
    return source, {name for name in names if _path(name).exists()}


def _path(name: str) -> Path:
    return _PACKAGE.joinpath(*name.split(".")).with_suffix(".py")


@contextmanager
def _own_cache(function: Callable[..., Any]) -> Iterator[None]:
    """Cache what is compiled in the `with` block in the folder of the function's file, and nothing else."""
    given = config.CACHE_DIR
    base = Path(given) if given else Path(platformdirs.user_cache_dir("rot180"))
    path = Path(function.__code__.co_filename).relative_to(_PACKAGE).with_suffix("")
    config.CACHE_DIR = str(base / f"kernels-{fingerprint('.'.join(path.parts))}")
    try:
        yield
    finally:
        config.CACHE_DIR = given
