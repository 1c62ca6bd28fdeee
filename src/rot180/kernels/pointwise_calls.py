"""The calls of a 1x1 convolution's kernels: packed matrices, sizes, and division of the work.

The engine's stages and the twins make the same calls.
"""

from __future__ import annotations

import math

import numpy as np

from rot180.kernels.call import Call, Scratch, packed
from rot180.kernels.feature_map import FeatureMap
from rot180.kernels.finishing import ADDED, ALONE, GATED, Finish, biased
from rot180.kernels.pack import pack_panels, pack_rotated
from rot180.kernels.pointwise import PointwiseSizes, pointwise
from rot180.kernels.product_tile import product_strides, product_tile_address
from rot180.kernels.simd import lane_count_of
from rot180.kernels.tile import TILE_ROWS, TILE_VECTORS, even_blocks
from rot180.ops.geometry import Geometry
from rot180.ops.types import Array

UNITS, FEWEST = 16, 8
"""The least numbers of units of work, if possible, to divide the filters and then the pixels for: enough for as many
cores."""
CACHED_RUN = 1 << 17
"""Bytes of the pixels of a run, or of their results, so that both stay in the second-level cache."""
ALIASED = 4096
"""Bytes after which addresses belong to the same set of the first-level cache."""
OTHER_SIZES = ("other_first", "other_image", "other_line", "other_pixel")


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
        self, x: FeatureMap, y: FeatureMap, finish: Finish, *, weights_in_place: bool = False
    ) -> tuple[Call | None, Call]:
        """Return the call that packs the weights and the one that computes y.

        Weights may be used in place if there is room for a register after their end.
        """
        source = _Map(x, self.g.stride)
        how, other = (ADDED, _Map(finish.added)) if finish.added else (ALONE, _Map(y))
        if weights_in_place:
            steps = self.width, self.w.shape[3]
            return None, self._product(source, self.w, steps, finish, _Map(y), how, other)
        panels, steps = self._panels(*self.w.shape[2:])
        product = self._product(source, panels, steps, finish, _Map(y), how, other)
        return Call(pack_panels, (self.w, panels)), product

    def data_gradient(self, delta: FeatureMap, dx: FeatureMap, gate: FeatureMap | None = None) -> tuple[Call, Call]:
        """Return the calls that pack the weights transposed, and compute dx where `gate` is positive.

        With a stride, only the pixels that the forward pass uses are written; the others of dx must be zero.
        """
        stride = self.g.stride
        panels, steps = self._panels(*self.w.shape[:1:-1])
        plain = biased(np.zeros(self.w.shape[2], self.w.dtype))
        how = GATED if gate else ALONE
        product = self._product(_Map(delta), panels, steps, plain, _Map(dx, stride), how, _Map(gate or dx, stride))
        return Call(pack_rotated, (self.w, np.zeros((1, 2), np.int64), panels)), product

    def _panels(self, rows: int, columns: int) -> tuple[Array, tuple[int, int]]:
        """Return an array for panels, and the distances from one panel and from one row to the next."""
        return self.scratch((1, -(-columns // self.width), rows, self.width)), (rows * self.width, self.width)

    def _product(
        self, x: _Map, w: Array, w_steps: tuple[int, int], finish: Finish, y: _Map, how: int, other: _Map
    ) -> Call:
        dtype = self.w.dtype
        C, F = x.channels, y.channels
        images, lines, length = len(x.array), self.g.out_height, self.g.out_width
        if x.is_one_line and y.is_one_line and other.is_one_line:
            images, lines, length = 1, 1, images * lines * length
        cached = CACHED_RUN // (max(C, F) * dtype.itemsize)
        blocks, runs = -(-F // self.width), max(1, -(-length // max(TILE_ROWS, cached)))
        # An even number, so that two threads get as many pixels each.
        runs += runs % 2 if runs > 1 else 0
        while images * lines * runs * blocks < FEWEST and length // (2 * runs) >= TILE_ROWS:
            runs *= 2
        run = max(1, -(-length // runs))
        sizes = PointwiseSizes(
            images,
            lines,
            length,
            *x.distances,
            *y.distances,
            run=run,
            block=even_blocks(run),
            panels=-(-blocks // min(blocks, max(1, UNITS // max(1, images * lines * runs)))),
            w_panel=w_steps[0],
            **dict(zip(OTHER_SIZES, other.distances, strict=True)),
        )
        copied = run * (C + self.lanes) if sizes.x_pixel * dtype.itemsize % ALIASED == 0 else 0
        scratch = self.scratch((self.threads, copied))
        pixels = (C + self.lanes if copied else sizes.x_pixel, sizes.y_pixel, sizes.other_pixel)
        strides = product_strides((1, C), (0, 0, 1), (0, 0, w_steps[1]), pixels=pixels)
        address = product_tile_address(dtype)
        call = (
            address, x.array, w, finish.scale, finish.shift, finish.bounds, other.array, y.array, how, scratch, strides,
            packed(sizes),
        )  # fmt: skip
        return Call(pointwise, call)


class _Map:
    """A feature map, and the rows and columns from one of its pixels to the next that is used."""

    def __init__(self, of: FeatureMap, step: tuple[int, int] = (1, 1)) -> None:
        self.array = of.array
        self.is_one_line = step == (1, 1) and not of.is_padded
        image, line, self.channels = math.prod(of.array.shape[1:]), math.prod(of.array.shape[2:]), of.array.shape[3]
        first = of.top * line + of.left * self.channels
        self.distances = (first, image, step[0] * line, step[1] * self.channels)
        """The offset of the first pixel, and the distances between images, lines and pixels."""
