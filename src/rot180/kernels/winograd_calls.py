"""The calls of a convolution by minimal filtering, forward and data gradient: sizes, strides and scratch."""

from __future__ import annotations

import numpy as np

from rot180.kernels.call import Call, Scratch, packed
from rot180.kernels.feature_map import FeatureMap, Sides
from rot180.kernels.finishing import Finish, biased
from rot180.kernels.simd import lane_count_of
from rot180.kernels.tile import TILE_ROWS, TILE_VECTORS, even_blocks, tile_address, tile_strides
from rot180.kernels.winograd import (
    LINE,
    WinogradSizes,
    convolve_few_tiles,
    convolve_tiles,
    transform_weights,
)
from rot180.kernels.winograd_in_place import MOST_TILES, convolve_tiles_in_place, products_address, runs_address
from rot180.kernels.winograd_transforms import (
    ADD,
    ADD_GATE,
    BIAS,
    GATE,
    OUTPUTS,
    POINTS,
    POOL,
    _cases,
    transform_address,
)
from rot180.ops.conv_winograd import applies
from rot180.ops.geometry import Geometry
from rot180.ops.types import Array

POOLED = 2
"""Rows, and columns, of the windows over which outputs can be pooled at once."""
CACHED = 1 << 18
"""Bytes of a block of images at its points: together with the weights of a block of filters they fit the second-level
cache."""
LEAST_TILES = -(-14 // TILE_ROWS) * TILE_ROWS
"""Fewer would read all the weights too often."""
CACHED_WEIGHTS = 5 << 17
"""Bytes of some channels' weights, at their points, of a block of filters."""
FEWEST_CHANNELS = 16
"""With fewer channels or filters, the transforms take longer than is saved between them."""
MOST_COMPUTED = {3: 1.8, 5: 1.4}
"""The most outputs that whole tiles may compute, in relation to those that are needed: for 3x3, 6x6 outputs pay and 5x5
do not; for 5x5, 4x4 pay and 5x5 do not."""
MANY_WEIGHTS = 1 << 14
"""Pairs of channels and filters whose weights, at their points, do not stay in the second-level cache."""
FEW_TILES = 64
"""With as few tiles, many weights are transformed where they are used. With more of them, the images at their points
would have to be read again and again from further away."""

_NO_WINNERS = np.zeros((1, 1, 1, 1), np.uint8)


def is_filtered(algorithm: str, g: Geometry, groups: int, w_shape: tuple[int, ...]) -> bool:
    """Return whether a convolution with this `algorithm` is computed by minimal filtering.

    "auto" does where it pays, which depends on shapes alone, and not on the size of a batch: an image has the same
    outputs in any company.
    """
    if not applies(g.kernel, g.stride, g.dilation, groups):
        return False
    return algorithm == "winograd" or (algorithm == "auto" and pays(g, *w_shape[2:]))


def pays(g: Geometry, channels: int, filters: int) -> bool:
    """Return whether minimal filtering is faster than direct convolution."""
    taps = g.kernel[0]
    down, across = (tiles_along(size, taps) for size in (g.out_height, g.out_width))
    computed = down * across * OUTPUTS[taps] ** 2
    return min(channels, filters) >= FEWEST_CHANNELS and computed <= MOST_COMPUTED[taps] * g.out_height * g.out_width


def is_few(tiles: int, channels: int, filters: int) -> bool:
    """Return whether to transform weights where they are used: there are many of them for so few tiles."""
    return tiles <= FEW_TILES and channels * filters >= MANY_WEIGHTS


def is_in_place(taps: int, channels: int, filters: int, across: int, lanes: int) -> bool:
    """Return whether sums take the place of channels: whole registers, as many of both, and tiles side by side."""
    return (
        taps == 3 and channels == filters and channels in range(lanes, TILE_VECTORS * lanes + 1, lanes) and across > 1
    )


def tiles_along(size: int, taps: int) -> int:
    """Return how many tiles cover so many outputs."""
    return -(-size // OUTPUTS[taps])


def image_room(g: Geometry) -> Sides:
    """Return the zeros around the input that whole tiles reach."""
    (top, _), (left, _) = g.padding
    return _room(g.kernel[0], (g.height, g.width), (g.out_height, g.out_width), (top, left))


def delta_room(g: Geometry) -> Sides:
    """Return the zeros around delta that whole tiles of the data gradient reach."""
    (top, _), (left, _), last = *g.padding, g.kernel[0] - 1
    return _room(last + 1, (g.out_height, g.out_width), (g.height, g.width), (last - top, last - left))


def _room(taps: int, sizes: tuple[int, int], made: tuple[int, int], before: tuple[int, int]) -> Sides:
    """Return the zeros around maps of these sizes, when `made` pixels are computed from them.

    The first tile begins `before` the first pixel.
    """
    rows, columns = (
        (max(0, first), max(0, tiles_along(out, taps) * OUTPUTS[taps] + taps - 1 - first - size))
        for size, out, first in zip(sizes, made, before, strict=True)
    )
    return rows, columns


class Winograd:
    """A convolution of a batch by minimal filtering, its forward pass and its data gradient.

    Parameters
    ----------
    w : (3, 3, C, F) or (5, 5, C, F)
        With room for a register after its end.
    g : Geometry
        Of a convolution to which `rot180.ops.conv_winograd.applies`.
    count : int
        Images of the batch.
    threads : int
        The most threads that the kernels may use.
    scratch : Scratch
        Provides memory for the calls.
    """

    def __init__(self, w: Array, g: Geometry, *, count: int, threads: int, scratch: Scratch) -> None:
        self.w, self.g = w, g
        self.count, self.threads, self.scratch = count, threads, scratch
        self.taps = w.shape[0]

    def forward(self, x: FeatureMap, y: FeatureMap, finish: Finish) -> list[Call]:
        """Return the calls that compute y, for x in `image_room`."""
        what = ADD if finish.added else BIAS
        return self._calls(x, self._begin(x), y, finish, what, finish.added or y)

    def pooled(self, x: FeatureMap, y: FeatureMap, winners: Array, finish: Finish) -> list[Call]:
        """Return the calls that compute y, the maxima over windows of 2x2, and their places in `winners`.

        Nothing is added. `winners` (N, OH, OW, F) uint8 are as for `convolve_pool`.
        """
        return self._calls(x, self._begin(x), y, finish, POOL, y, winners)

    def data_gradient(
        self, delta: FeatureMap, dx: FeatureMap, gate: FeatureMap | None = None, *, add: bool = False
    ) -> list[Call]:
        """Return the calls that compute dx, where `gate` is positive, for delta in `delta_room`.

        With `add`, dx holds numbers to which the data gradient is added before the sum passes the gate.
        """
        (top, _), (left, _), last = *self.g.padding, self.taps - 1
        begin = delta.top - (last - top), delta.left - (last - left)
        finish = biased(np.zeros(self.w.shape[2], self.w.dtype))
        what = (ADD_GATE if gate else ADD) if add else GATE if gate else BIAS
        return self._calls(delta, begin, dx, finish, what, gate or dx, turned=True)

    def _begin(self, x: FeatureMap) -> tuple[int, int]:
        """Return the row and column of the buffer of x where the first tile begins."""
        (top, _), (left, _) = self.g.padding
        return x.top - top, x.left - left

    def _calls(
        self,
        x: FeatureMap,
        begin: tuple[int, int],
        y: FeatureMap,
        finish: Finish,
        what: int,
        other: FeatureMap,
        winners: Array = _NO_WINNERS,
        *,
        turned: bool = False,
    ) -> list[Call]:
        """The calls of a convolution of x, whose first tile begins at a row and column of the buffer of x."""
        w = self.w
        if (self.taps, what) not in _cases:
            raise ValueError(f"no outputs of kind {what} are compiled for kernels of {self.taps} taps")
        C, F = w.shape[:1:-1] if turned else w.shape[2:]
        lanes, side, points = lane_count_of(w.dtype), OUTPUTS[self.taps], POINTS * POINTS
        line = LINE // w.itemsize
        width = min(TILE_VECTORS, -(-F // lanes)) * lanes
        depth, blocks = -(-C // lanes) * lanes, -(-F // width)
        window = POOLED if what == POOL else 1
        down, across = (tiles_along(window * size, self.taps) for size in (y.height, y.width))
        tiles = self.count * down * across
        few = is_few(tiles, C, F)
        in_place = not few and is_in_place(self.taps, C, F, across, lanes)
        if few:
            block = max(1, tiles)
        elif in_place:
            block = even_blocks(across, MOST_TILES)
        else:
            block = self._block(tiles, points * depth * w.itemsize)
        chunk = even_blocks(depth // lanes, max(1, CACHED_WEIGHTS // (points * width * lanes * w.itemsize))) * lanes
        sizes = WinogradSizes(
            taps=self.taps,
            side=side,
            step=side // window,
            down=down,
            across=across,
            rows=y.height,
            columns=y.width,
            first_row=begin[0],
            first_column=begin[1],
            top=y.top,
            left=y.left,
            other_top=other.top,
            other_left=other.left,
            block=block,
            lot=even_blocks(block),
            width=width,
            chunk=chunk,
            turned=int(turned),
        )
        if in_place:
            v = sums = self.scratch((self.threads, block, points * depth))
        else:
            v = self.scratch((1 if few else self.threads, points, block * depth + line))
            sums = self.scratch((self.threads, points, block * width + line))
        u = self.scratch((self.threads, points, chunk * width + line) if few else (blocks, points, C * width + line))
        cuts = self.scratch((self.threads if turned else 1, self.taps**2 * lanes * width))
        lengths = (chunk, C % chunk) if few else (C, C)
        strides = np.array(
            [tile_strides((1, k), (0, 0, 1), (0, 0, width), a_row=depth, c_row=width) for k in lengths], np.int64
        )

        def of_map(one: Array) -> list[int]:
            return [one.shape[2] * one.shape[3], one.shape[3]]

        def of_points(one: Array) -> list[int]:
            step = depth if one is v and in_place else one.shape[2]
            return [POINTS * step, step]

        tap = lanes * width if turned else C * F
        steps = np.array(
            [
                [*of_map(x.array), *of_points(v), 0, 0],
                [self.taps * tap, tap, *of_points(u), 0, 0],
                [*of_points(sums), *of_map(y.array), *of_map(winners if what == POOL else other.array)],
            ],
            np.int64,
        )
        operands = (finish.scale, finish.shift, y.array, other.array, winners, finish.bounds, what)
        of_transforms = transform_address(w.dtype)
        if in_place:
            addresses = np.array([products_address(w.dtype), of_transforms, runs_address(w.dtype)])
            call = Call(convolve_tiles_in_place, (addresses, x.array, u, *operands, v, steps, packed(sizes)))
        else:
            addresses = np.array([tile_address(w.dtype), of_transforms])
            rest = (sums, strides, steps, packed(sizes))
            if few:
                return [Call(convolve_few_tiles, (addresses, x.array, w, *operands, v, u, cuts, *rest))]
            call = Call(convolve_tiles, (addresses, x.array, u, *operands, v, *rest))
        return [Call(transform_weights, (of_transforms, w, u, cuts, steps, packed(sizes))), call]

    def _block(self, tiles: int, tile_bytes: int) -> int:
        """Return how many tiles, of so many bytes at their points, to multiply with all weights before the next ones.

        All threads get as many blocks.
        """
        # Of many channels they leave the cache anyway: rather read the weights less often.
        stays = tile_bytes * LEAST_TILES <= 3 * CACHED
        most = max(LEAST_TILES, CACHED // tile_bytes // TILE_ROWS * TILE_ROWS) if stays else 3 * LEAST_TILES
        rounds = max(1, -(-tiles // (most * self.threads)))
        return max(1, -(-tiles // (rounds * self.threads)))
