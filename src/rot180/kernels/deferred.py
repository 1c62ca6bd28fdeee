"""Numba, imported only when something is to be compiled: that takes longer than all that a plan needs otherwise.

Kernels are written against the names here, which have the meaning that they have in Numba.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from rot180.cached import cached_property

__all__ = ["Deferred", "cgutils", "intrinsic", "types"]


class _Module:
    """A module that is imported when something of it is used."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self._name), name)


if TYPE_CHECKING:
    from numba import types
    from numba.core import cgutils
else:
    types, cgutils = _Module("numba.core.types"), _Module("numba.core.cgutils")


class Deferred:
    """What Numba makes of a function, which it does when the first code that uses it is compiled."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make

    @cached_property
    def made(self) -> Any:
        """What Numba has made."""
        return self._make()

    @cached_property
    def _numba_type_(self) -> Any:
        """What Numba asks any object for that compiled code uses."""
        from numba.core.registry import cpu_target

        made = self.made
        cpu_target.typing_context.refresh()  # an intrinsic is registered, but not yet there
        return cpu_target.typing_context.resolve_value_type(made)


def intrinsic(function: Callable[..., Any]) -> Any:
    """Make an intrinsic: a function that writes the instructions of its calls."""
    return Deferred(lambda: import_module("numba.extending").intrinsic(function))
