"""Parameters, gradients and optimizer state each in a long array, so that one kernel call updates them all."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from rot180.kernels.memory import ALIGNMENT, aligned
from rot180.nn.sequential import Sequential
from rot180.ops.types import Array

_OF_MODELS: WeakKeyDictionary[Sequential, Arena] = WeakKeyDictionary()


class Arena:
    """Arrays of given names and shapes, side by side in one buffer, each at a cache line.

    >>> arena = Arena({"w": (2, 3), "b": (3,)}, np.float32)
    >>> arena["w"].shape, arena.flat.size
    ((2, 3), 32)
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], dtype: Any) -> None:
        step = ALIGNMENT // np.dtype(dtype).itemsize
        self._shapes = list(shapes.items())
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

    def holds(self, shapes: Mapping[str, tuple[int, ...]], dtype: Any) -> bool:
        """Whether it was made for these arrays, in this order and type."""
        return self._shapes == list(shapes.items()) and self.flat.dtype == dtype


def parameter_arena(model: Sequential, shapes: Mapping[str, tuple[int, ...]]) -> Arena:
    """Return the arena of a model's parameters, which all its engines share."""
    arena = _OF_MODELS.get(model)
    if arena is None or not arena.holds(shapes, model.dtype):
        arena = _OF_MODELS[model] = Arena(shapes, model.dtype)
    return arena
