"""How kernels are compiled, and where the results are cached.

What is called by address, kernels first, is kept as machine code (`rot180.kernels.machine_code`), so that whoever
finds it need not compile. What such functions call is inlined; Numba caches it for whatever else calls it.

A kernel compiled with an outdated register block would write where it must not. So the code of each source file is
cached in a folder named after its content, that of all files of this package that it imports, and the version of Numba,
which empties the folders of others: in the user's cache, or in NUMBA_CACHE_DIR.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping
from ctypes import CFUNCTYPE, c_int64
from functools import cache, partial
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from threading import RLock
from typing import Any, ClassVar

import numpy as np
import platformdirs

from rot180.cached import cached_property
from rot180.kernels.deferred import Deferred
from rot180.kernels.entry import Types
from rot180.kernels.machine_code import load, save
from rot180.kernels.processor import TARGET

_PACKAGE = Path(__file__).parents[1]
_OF_NUMBA = "kernels.numba_entry", "kernels.numba_types"
"""Modules that decide about the code of all kernels, and are imported when the first one is compiled."""
# Parsing fifty modules would take a quarter of a second. What else is imported inside a function, no kernel calls.
_IMPORT = re.compile(rf"^from {_PACKAGE.name}\.([\w.]+) import (\([^)]*\)|.*)$", re.MULTILINE)
_DECLARED = re.compile(r'^declare [^@]*@"?([^"(\s]+)"?\(', re.MULTILINE)
_CACHE = Path(os.environ.get("NUMBA_CACHE_DIR") or platformdirs.user_cache_dir("rot180"))
_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "boundscheck": False,
    "error_model": "numpy",
    # Kernels allocate nothing, so that arrays need not be counted, nor Numba's allocator be there when they run.
    "_nrt": False,
    # Fused multiply-adds are allowed; nothing reorders a sum, so that the same seed gives the same bits for any number
    # of threads.
    "fastmath": {"contract", "nsz"},
}


ONE_AT_A_TIME = RLock()
"""Held by whoever loads or compiles code: two threads that import Numba at once find parts of it unfinished."""


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a function that all threads of a team run, each its part; its first parameter is the team."""
    from rot180.kernels.launching import Kernel

    return Kernel(function)


def subroutine(function: Callable[..., Any]) -> Any:
    """Compile a function that kernels call."""
    return Deferred(partial(_cached, function))


def _cached(function: Callable[..., Any]) -> Any:
    """Return a function as Numba compiles and caches it, in the folder of its source file."""
    from numba.core import config

    given = config.CACHE_DIR
    config.CACHE_DIR = str(folder_of(function))
    try:
        # It is never called from Python: the wrappers for that would take half of its time.
        return _numba().njit(cache=True, no_cpython_wrapper=True, no_cfunc_wrapper=True, **_OPTIONS)(function)
    finally:
        config.CACHE_DIR = given


def _numba() -> Any:
    """Return Numba, knowing our types."""
    import_module("rot180.kernels.numba_types")
    return import_module("numba")


def callback(signature: Callable[[Any], Any]) -> Callable[[Callable[..., Any]], Callback]:
    """Compile a function that compiled code calls by its address, with a signature for each type of float."""
    return lambda function: Callback(function, signature)


def routine(function: Callable[..., Any]) -> Routine:
    """Compile a function of integers that is called from Python."""
    return Routine(function)


class Addressed:
    """A function that is called by its address, for each combination of types: compiled, or loaded from its file.

    Parameters
    ----------
    function : function of a module
        Only if that is a module of the package, the code is kept in a file.

    Attributes
    ----------
    function : function
        As it is written.
    """

    _compiler = "PlainCompiler"
    _options: ClassVar[Mapping[str, Any]] = _OPTIONS

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.__name__, self.__doc__, self.__module__ = function.__name__, function.__doc__, function.__module__
        self._addresses: dict[Types, int] = {}

    def __repr__(self) -> str:
        return f"<compiled {self.__module__}.{self.__name__}>"

    def signature(self, types: Types) -> Any:
        """Return what Numba compiles it for."""
        from rot180.kernels.numba_entry import numba_type

        return tuple(map(numba_type, types))

    def address(self, types: Types) -> int:
        """Return its address for these types."""
        if types not in self._addresses:
            with ONE_AT_A_TIME:
                if types not in self._addresses:  # another thread may have found it meanwhile
                    self._find(types)
        return self._addresses[types]

    def _find(self, types: Types) -> None:
        path = self._path(types)
        address = None if path is None else load(path)
        if address is None:
            self.compile(types)
        else:
            self._addresses[types] = address

    def is_compiled(self, types: Types) -> bool:
        """Return whether its address is known, or can be read from a file."""
        if types in self._addresses:
            return True
        path = self._path(types)
        return path is not None and path.exists()

    def compile(self, types: Types) -> None:
        """Compile it for these types, and write the code to its file."""
        with ONE_AT_A_TIME:
            from numba.core import sigutils

            signature = self.signature(types)
            self._dispatcher.compile(signature)
            compiled = self._dispatcher.overloads[sigutils.normalize_signature(signature)[0]]
            name, library = compiled.fndesc.llvm_cfunc_wrapper_name, compiled.library
            self._addresses[types] = library.get_pointer_to_function(name)
            path = self._path(types)
            if path is not None and not library.has_dynamic_globals:
                outside = [
                    found for found in _DECLARED.findall(library.get_llvm_str()) if not found.startswith("llvm.")
                ]
                save(path, name, outside, library._get_compiled_object())

    @cached_property
    def _dispatcher(self) -> Any:
        compiler = getattr(import_module("rot180.kernels.numba_entry"), self._compiler)
        return _numba().njit(pipeline_class=compiler, no_cpython_wrapper=True, **self._options)(self.function)

    def _path(self, types: Types) -> Path | None:
        if not Path(self.function.__code__.co_filename).is_relative_to(_PACKAGE):
            return None
        digest = hashlib.sha256(" ".join([self.function.__qualname__, *types, TARGET]).encode())
        return folder_of(self.function) / f"{self.__name__}-{digest.hexdigest()[:16]}.code"


class Routine(Addressed):
    """A compiled function of integers, called from Python without Python's lock; it returns an integer, or nothing."""

    @cached_property
    def _call(self) -> Any:
        count = self.function.__code__.co_argcount
        return CFUNCTYPE(c_int64, *[c_int64] * count)(self.address(("i",) * count))

    def __call__(self, *arguments: int) -> Any:
        """Call it."""
        return self._call(*arguments)


class Callback(Addressed):
    """A function that compiled code calls by its address."""

    # Its arithmetic is spelled out instruction by instruction: nothing is left for "fast" mathematics to decide.
    _options: ClassVar[Mapping[str, Any]] = {name: value for name, value in _OPTIONS.items() if name != "fastmath"}

    def __init__(self, function: Callable[..., Any], signature: Callable[[Any], Any]) -> None:
        super().__init__(function)
        self._signature = signature

    def signature(self, types: Types) -> Any:
        """Return its signature for the type of an array's elements."""
        from numba.np.numpy_support import from_dtype

        (dtype,) = types
        return self._signature(from_dtype(np.dtype(dtype)))


def folder_of(function: Callable[..., Any]) -> Path:
    """Return the folder for what is compiled of the source file of a function."""
    path = Path(function.__code__.co_filename).relative_to(_PACKAGE).with_suffix("")
    return _CACHE / f"kernels-{fingerprint('.'.join(path.parts))}"


@cache
def fingerprint(name: str) -> str:
    """Return a digest of a module of the package, of all modules of it that this one imports, and of Numba's version.

    The name is relative to the package, such as `kernels.tile`.
    """
    digest = hashlib.sha256(_numba_version().encode())
    waiting = [name, *_OF_NUMBA]
    seen = set(waiting)
    while waiting:
        source, imported = _read(waiting.pop())
        digest.update(source)
        found = sorted(imported - seen)
        waiting += found
        seen.update(found)
    return digest.hexdigest()[:16]


@cache
def _numba_version() -> str:
    return version("numba")


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
