"""The calls of a 1x1 convolution's kernels: packed matrices, sizes, and division of the work.

The engine's stages and the twins make the same calls.
"""

from __future__ import annotations

import math

import numpy as np

from rot180.kernels.call import Call, Scratch, packed
from rot180.kernels.feature_map import FeatureMap
from rot180.kernels.pack import pack_panels, pack_rotated
from rot180.kernels.pointwise import PointwiseSizes, pointwise
from rot180.kernels.product_tile import product_tile_address
from rot180.kernels.simd import lane_count_of
from rot180.kernels.tile import TILE_ROWS, TILE_VECTORS, even_blocks
from rot180.ops.geometry import Geometry
from rot180.ops.types import Array

UNITS = 16
"""The least number of units of work, if possible: enough for as many cores."""
CACHED_RUN = 1 << 17
"""Bytes of the pixels of a run, or of their results, so that both stay in the second-level cache."""
ALIASED = 4096
"""Bytes after which addresses belong to the same set of the first-level cache."""
UNLIMITED = (-math.inf, math.inf)
"""The limits of a result that is not clamped."""


def is_pointwise(w: Array, g: Geometry, groups: int) -> bool:
    """Return whether a convolution is best a product of pixels and a matrix; with few filters, pixels are folded."""
    return g.kernel == (1, 1) and groups == 1 and not g.is_padded and 2 * w.shape[3] > lane_count_of(w.dtype)


class Pointwise:
    """A 1x1 convolution of a batch, forward and backward.

    Parameters
    ----------
    w : (1, 1, C, F)
    g : Geometry
    threads : int
        The most threads that the kernels may use.
    scratch : Scratch
        Provides memory for the calls.
    """

    def __init__(self, w: Array, g: Geometry, *, threads: int, scratch: Scratch) -> None:
        self.w, self.g, self.threads, self.scratch = w, g, threads, scratch
        self.lanes = lane_count_of(w.dtype)
        self.width = TILE_VECTORS * self.lanes

    def forward(
        self, x: FeatureMap, bias: Array, y: FeatureMap, limits: tuple[float, float] = UNLIMITED
    ) -> tuple[Call, Call]:
        """Return the calls that pack the weights and compute y."""
        panels = self._panels(*self.w.shape[2:])
        product = self._product(x, panels, bias, y, limits, self.g.stride, (1, 1))
        return Call(pack_panels, (self.w, panels)), product

    def data_gradient(self, delta: FeatureMap, dx: FeatureMap) -> tuple[Call, Call]:
        """Return the calls that pack the weights transposed, and compute dx.

        With a stride, only the pixels that the forward pass uses are written; the others of dx must be zero.
        """
        panels = self._panels(*self.w.shape[:1:-1])
        zeros = np.zeros(self.w.shape[2], self.w.dtype)
        product = self._product(delta, panels, zeros, dx, UNLIMITED, (1, 1), self.g.stride)
        return Call(pack_rotated, (self.w, panels)), product

    def _panels(self, rows: int, columns: int) -> Array:
        return self.scratch((1, -(-columns // self.width), rows, self.width))

    def _product(
        self,
        x: FeatureMap,
        panels: Array,
        bias: Array,
        y: FeatureMap,
        limits: tuple[float, float],
        x_step: tuple[int, int],
        y_step: tuple[int, int],
    ) -> Call:
        """Pixels are `x_step` apart in x, and `y_step` in y, by rows and by columns."""
        dtype = self.w.dtype
        C, F = x.array.shape[3], y.array.shape[3]
        images, lines, length = len(x.array), self.g.out_height, self.g.out_width
        if x_step == y_step == (1, 1) and not x.is_padded and not y.is_padded:
            images, lines, length = 1, 1, images * lines * length
        cached = CACHED_RUN // (max(C, F) * dtype.itemsize)
        run = max(1, min(length, max(1, cached // TILE_ROWS) * TILE_ROWS))
        blocks, runs = panels.shape[1], images * lines * -(-length // run)
        group = -(-blocks // min(blocks, max(1, UNITS // max(1, runs))))
        (x_line, x_pixel), (y_line, y_pixel) = (
            (step[0] * of.array.shape[2] * of.array.shape[3], step[1] * of.array.shape[3])
            for of, step in ((x, x_step), (y, y_step))
        )
        sizes = PointwiseSizes(
            images=images,
            lines=lines,
            length=length,
            x_first=_first(x),
            x_image=math.prod(x.array.shape[1:]),
            x_line=x_line,
            x_pixel=x_pixel,
            y_first=_first(y),
            y_image=math.prod(y.array.shape[1:]),
            y_line=y_line,
            y_pixel=y_pixel,
            run=run,
            block=even_blocks(run),
            panels=group,
        )
        copied = run * (C + self.lanes) if x_pixel * dtype.itemsize % ALIASED == 0 else 0
        scratch = self.scratch((self.threads, copied))
        address, bounds = product_tile_address(dtype), np.array(limits, dtype)
        return Call(pointwise, (address, x.array, panels, bias, y.array, bounds, scratch, packed(sizes)))


def _first(of: FeatureMap) -> int:
    """The offset of the first pixel."""
    return (of.top * of.array.shape[2] + of.left) * of.array.shape[3]
