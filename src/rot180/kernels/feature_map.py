"""Feature maps and their deltas: the inside of padded buffers that kernels read and write directly."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rot180.cached import cached_property
from rot180.kernels.memory import aligned
from rot180.ops.types import Array

Sides = tuple[tuple[int, int], tuple[int, int]]
NO_PADDING: Sides = ((0, 0), (0, 0))


@dataclass(frozen=True)
class FeatureMap:
    """Images or vectors inside a buffer.

    `array` is (N, Hp, Wp, C); the map's own pixels are rows top to top + height, columns left to left + width. The
    surrounding pixels stay zero. A batch of vectors is (N, 1, 1, n).
    """

    array: Array
    top: int
    left: int
    height: int
    width: int
    buffer: Any = field(default=None, repr=False, compare=False)
    """What holds the memory, for whoever manages it."""

    @cached_property
    def inside(self) -> Array:
        """Return a view of the map's own pixels, (N, height, width, C)."""
        return self.array[:, self.top : self.top + self.height, self.left : self.left + self.width]

    @property
    def is_padded(self) -> bool:
        """Whether the buffer is larger than the map."""
        return self.array.shape[1:3] != (self.height, self.width)

    @property
    def place(self) -> tuple[int, int]:
        """(top, left)"""
        return self.top, self.left

    def batch(self, axes: int) -> Array:
        """Return the same memory as a batch with four axes (images) or two (vectors)."""
        return self.inside if axes == 4 else self.vectors

    def reshaped(self, shape: tuple[int, ...]) -> FeatureMap:
        """Return the same memory as maps of another shape (without the batch axis); only possible without padding."""
        height, width, channels = three(shape)
        array = self.array.reshape(len(self.array), height, width, channels)
        return FeatureMap(array, 0, 0, height, width, self.buffer)

    @cached_property
    def vectors(self) -> Array:
        """Return the same memory as (N, n); only possible without padding."""
        return self.array.reshape(len(self.array), -1)

    @cached_property
    def rows(self) -> Array:
        """Return the same memory as (N * height * width, C); only possible without padding."""
        return self.array.reshape(-1, self.array.shape[-1])


def joined(*maps: FeatureMap) -> tuple[FeatureMap, ...]:
    """Return maps of one size with their images one below the other, if none is padded; otherwise as they are."""
    if any(one.is_padded for one in maps):
        return maps
    sizes = [(1, len(one.array) * one.height, one.width, one.array.shape[3]) for one in maps]
    return tuple(
        FeatureMap(one.array.reshape(size), 0, 0, *size[1:3], one.buffer) for one, size in zip(maps, sizes, strict=True)
    )


def three(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return (H, W, C) or (n,) as three numbers."""
    return (1, 1, *shape) if len(shape) == 1 else shape  # type: ignore[return-value]


def new_map(count: int, shape: tuple[int, ...], padding: Sides, dtype: Any) -> FeatureMap:
    """Allocate a zeroed buffer for `count` maps of this shape (without the batch)."""
    height, width, channels = three(shape)
    (top, bottom), (left, right) = padding
    array = aligned((count, top + height + bottom, left + width + right, channels), dtype)
    return FeatureMap(array, top, left, height, width)
