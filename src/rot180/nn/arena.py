"""Parameters, gradients and optimizer state each in a long array, so that one kernel call updates them all.

A network's parameters lie in one from the moment they are made, and never move: whoever holds an array holds the live
one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from rot180.kernels.memory import ALIGNMENT, aligned
from rot180.ops.types import Array


class Arena:
    """Arrays of given names and shapes, side by side in one buffer, each at a cache line.

    >>> arena = Arena({"w": (2, 3), "b": (3,)}, np.float32)
    >>> arena["w"].shape, arena.flat.size
    ((2, 3), 32)
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], dtype: Any) -> None:
        step = ALIGNMENT // np.dtype(dtype).itemsize
        self._shapes = dict(shapes)
        self._starts: dict[str, int] = {}
        end = 0
        for name, shape in shapes.items():
            self._starts[name] = end
            end += -(-math.prod(shape) // step) * step
        self.flat: Array = aligned((end,), dtype)
        self._arrays = {
            name: self.flat[start : start + math.prod(shapes[name])].reshape(shapes[name])
            for name, start in self._starts.items()
        }

    def __getitem__(self, name: str) -> Array:
        return self._arrays[name]

    def items(self) -> Iterable[tuple[str, Array]]:
        """Names and arrays."""
        return self._arrays.items()

    def part(self, names: list[str]) -> Array:
        """The stretch of the buffer that holds these arrays, which stand side by side."""
        last = names[-1]
        return self.flat[self._starts[names[0]] : self._starts[last] + self._arrays[last].size]

    def __deepcopy__(self, memo: dict[int, Any]) -> Arena:
        """Copy, so that whatever is copied along and refers to one of the arrays refers to its copy here."""
        copied = Arena(self._shapes, self.flat.dtype)
        np.copyto(copied.flat, self.flat)
        memo.update((id(array), copied[name]) for name, array in self._arrays.items())
        return copied

    def __reduce__(self) -> tuple[Any, ...]:
        """Leave the values out of a pickle: its arrays would no longer lie side by side."""
        return Arena, (self._shapes, self.flat.dtype)
