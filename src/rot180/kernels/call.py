"""A call of a kernel, prepared once and made many times: the same for the engine's plans and for the twins."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple, Protocol

import numpy as np

from rot180.kernels.deferred import Deferred
from rot180.ops.types import Array

unpacked = Deferred(lambda: import_module("numba.np.unsafe.ndarray").to_fixed_tuple)
"""In a kernel, `Sizes(*unpacked(sizes, count))` names the numbers that `packed` made an array of."""


class Call(NamedTuple):
    """A kernel and its arguments."""

    kernel: Callable[..., Any]
    arguments: tuple[Any, ...]

    def __call__(self) -> None:
        """Make the call."""
        self.kernel(*self.arguments)


class Scratch(Protocol):
    """Provides an array with undefined contents, and room for a register after its end, for the calls of one pass."""

    def __call__(self, shape: tuple[int, ...], dtype: Any = None) -> Array:
        """Return an array; without a dtype, of the type that the network computes in."""


def packed(sizes: tuple[int, ...]) -> Array:
    """Return the sizes of a call as the array that kernels take: unpacking a tuple would cost more in each call."""
    return np.array(sizes, np.int64)
