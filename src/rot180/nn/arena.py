"""Parameters, gradients and optimizer state, each in one long array, so that one kernel call updates them all.

A network's parameters are in one such array from the moment they are created, and never move: every reference to an
array refers to the live one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from rot180.kernels.memory import ALIGNMENT, aligned
from rot180.ops.types import Array


class Arena:
    """Named arrays of given shapes, adjacent in one buffer, each aligned to a cache line.

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

    @property
    def starts(self) -> dict[str, int]:
        """Where each array begins in the buffer, in order."""
        return dict(self._starts)

    def items(self) -> Iterable[tuple[str, Array]]:
        """Return the names and arrays."""
        return self._arrays.items()

    def part(self, names: list[str]) -> Array:
        """Return the part of the buffer that holds these arrays, which must be adjacent."""
        last = names[-1]
        return self.flat[self._starts[names[0]] : self._starts[last] + self._arrays[last].size]

    def __deepcopy__(self, memo: dict[int, Any]) -> Arena:
        """Copy, so that references to the arrays from objects copied along refer to the copies."""
        copied = Arena(self._shapes, self.flat.dtype)
        np.copyto(copied.flat, self.flat)
        memo.update((id(array), copied[name]) for name, array in self._arrays.items())
        return copied

    def __reduce__(self) -> tuple[Any, ...]:
        """Leave the values out of a pickle: its arrays would no longer be adjacent."""
        return Arena, (self._shapes, self.flat.dtype)
